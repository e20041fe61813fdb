import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mrcnn  # noqa: F401  before imgaug, unless the project is installed

from imgaug import augmenters as iaa  # isort: skip

ROOT = Path(__file__).resolve().parents[3]
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
def test_augmenters_change_the_image(augmenter):
    image = np.random.default_rng(0).integers(60, 200, (32, 32, 3), dtype=np.uint8)
    augmenter.seed_(1)
    changed = augmenter(image=image)
    assert changed.dtype == np.uint8 and changed.shape == image.shape and (changed != image).any()


def run(code, *flags):
    """Runs `code` in a new Python process and returns its output, split at white space."""
    command = [sys.executable, *flags, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_imgaug_can_be_imported_first():
    """Uses the files that an installation adds to site-packages. -S excludes those of this environment."""
    paths = [path for path in sys.path if path.endswith("site-packages")]
    code = f"import site; sys.path += {paths}; site.addsitedir({str(ROOT / 'mrcnn' / 'data')!r})\n"
    code += "print('numpy' in sys.modules, 'mrcnn' in sys.modules)\n"
    code += "import imgaug, numpy; print(imgaug.__version__, hasattr(numpy, 'sctypes'))"
    assert run(code, "-S") == ["False", "False", "0.4.0", "False"]


def test_importing_the_package_does_not_change_numpy_or_import_imgaug():
    code = "import mrcnn; print('imgaug' in sys.modules, 'numpy' in sys.modules)"
    assert run(code) == ["False", "False"]
    assert not hasattr(np, "sctypes") and "complex" not in vars(np)  # imgaug is imported here
    assert iaa.__name__ == "imgaug.augmenters"


def test_the_build_installs_the_hook_next_to_the_packages(tmp_path):
    command = [sys.executable, "setup.py", "-q", "build", "--build-base", tmp_path, "build_py", "--build-lib", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    [hook] = tmp_path.glob("*.pth")
    assert hook.read_text() == (ROOT / "mrcnn" / "data" / "imgaug_shim.pth").read_text()
