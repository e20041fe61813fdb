"""Time to the first detection: import, construction with ResNet-50, and detection on one 512-pixel image."""

import json
import time

START = time.perf_counter()


def main() -> None:
    import numpy as np

    from mrcnn.config import Config
    from mrcnn.model import MaskRCNN

    imported = time.perf_counter()
    settings = dict(NAME="bench", BACKBONE="resnet50", NUM_CLASSES=2, IMAGE_MIN_DIM=512, IMAGE_MAX_DIM=512)
    model = MaskRCNN("inference", Config().copy(**settings, IMAGES_PER_GPU=1), "logs")
    built = time.perf_counter()
    model.detect([np.zeros((512, 512, 3), np.uint8)])
    detected = time.perf_counter()
    seconds = dict(imports=imported - START, build=built - imported, first_detection=detected - built)
    print(json.dumps({name: round(value, 2) for name, value in {**seconds, "total": detected - START}.items()}))


if __name__ == "__main__":
    main()
