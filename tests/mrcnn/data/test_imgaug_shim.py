import numpy as np
import pytest

from mrcnn.data.imgaug_shim import load_imgaug

iaa = load_imgaug().augmenters
AUGMENTERS = [
    iaa.Fog(),  # these two need np.complex
    iaa.Clouds(),
    iaa.ElasticTransformation(alpha=10, sigma=3),
    iaa.pillike.Autocontrast((10, 20)),
    iaa.pillike.Autocontrast((10, 20), per_channel=True),
    iaa.Add((-40, 40)),
    iaa.Multiply((0.5, 1.5), per_channel=True),
    iaa.LinearContrast((0.5, 1.5)),
    iaa.GammaContrast((0.5, 1.5)),
    iaa.AddToHueAndSaturation((-30, 30)),
    iaa.Grayscale((0.5, 1.0)),
    iaa.Invert(1.0),
    iaa.ChannelShuffle(1.0),
    iaa.AdditiveGaussianNoise(scale=10),
    iaa.GaussianBlur((0.5, 2.0)),
    iaa.MotionBlur(k=5),
    iaa.JpegCompression((50, 90)),
    iaa.CoarseDropout(0.2, size_percent=0.2),
    iaa.Cutout(),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("augmenter", AUGMENTERS, ids=lambda augmenter: type(augmenter).__name__)
def test_augmenters_run_and_change_the_photo(augmenter):
    image = np.random.default_rng(0).integers(60, 200, (32, 32, 3), dtype=np.uint8)
    augmenter.seed_(1)
    changed = augmenter(image=image)
    assert changed.dtype == np.uint8 and changed.shape == image.shape and (changed != image).any()


def test_what_numpy_has_itself_is_left_alone():
    assert np.bool is np.bool_  # NumPy 2's own, not the one that 1.24 removed
    assert vars(np)["complex"] is complex and np.float64 in vars(np)["sctypes"]["float"]
