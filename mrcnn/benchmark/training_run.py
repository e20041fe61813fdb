"""Short training on image files: fraction of the step time spent waiting for data, and time to the first step."""

import json
import tempfile
import time

START = time.perf_counter()
PHOTOS, SHAPE, STEPS = 16, (1600, 1280), 12  # SHAPE: height and width of the images in pixels


def main() -> None:
    from pathlib import Path

    import imgaug.augmenters as iaa
    import keras

    from mrcnn.benchmark import measure
    from mrcnn.config import Config
    from mrcnn.model import MaskRCNN

    options = measure.parse_arguments(backbone="resnet50", layers="heads", batch=2, size=512, precision="bfloat16")
    measure.set_precision(options.precision)
    first_step = []
    record_first_step = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: first_step or first_step.append(time.perf_counter() - START)
    )
    with tempfile.TemporaryDirectory() as folder:
        settings = dict(NAME="bench", BACKBONE=options.backbone, NUM_CLASSES=2, IMAGES_PER_GPU=options.batch)
        sizes = dict(IMAGE_MIN_DIM=options.size, IMAGE_MAX_DIM=options.size, STEPS_PER_EPOCH=STEPS, VALIDATION_STEPS=0)
        model = MaskRCNN("training", Config().copy(**settings, **sizes), folder)
        measure.classify_all(model.keras_model)
        augmentation = iaa.Sequential([iaa.Fliplr(0.5), iaa.Affine(rotate=(-10, 10)), iaa.GaussianBlur((0, 1))])
        model.train(
            write_photos(Path(folder)),
            None,
            1e-5,
            epochs=2,
            layers=options.layers,
            augmentation=augmentation,
            custom_callbacks=[record_first_step],
            workers=2,
            verbose=0,
        )
        history = model.keras_model.history.history
    figures = dict(step=round(history["seconds_per_step"][-1], 3), waiting=round(history["waiting"][-1], 4))
    print(json.dumps(dict(figures, first_step_after=round(first_step[0], 1), peak_mib=measure.peak_memory())))


def write_photos(folder):
    """Writes JPEG images of SHAPE with one rectangle each and returns their dataset."""
    import numpy as np
    from PIL import Image

    from mrcnn.data.dataset import Dataset

    class Rectangles(Dataset):
        """Images with one white rectangle as the object."""

        def load_mask(self, image_id):
            masks = np.zeros((*SHAPE, 1), bool)
            masks[400:900, 300:1000] = True
            return masks, np.ones(1, np.int32)

    dataset, rng = Rectangles(), np.random.default_rng(0)
    dataset.add_class("bench", 1, "rectangle")
    for number in range(PHOTOS):
        small = rng.integers(0, 200, (50, 40, 3), np.uint8)
        photo = np.array(Image.fromarray(small).resize(SHAPE[::-1], Image.Resampling.BICUBIC))
        photo[400:900, 300:1000] = 255
        Image.fromarray(photo).save(folder / f"{number}.jpg", quality=90)
        dataset.add_image("bench", number, str(folder / f"{number}.jpg"))
    dataset.prepare()
    return dataset


if __name__ == "__main__":
    main()
