"""NikeConfig: the settings for one logo, a few hundred photos and an ordinary computer."""

from mrcnn.config import Config


class NikeConfig(Config):
    """What differs from the library's settings, each with its reason. `--config FILE` replaces any of them."""

    NAME = "nike"
    NUM_CLASSES = 1 + 1
    BACKBONE = "resnet50"  # a third faster than ResNet-101, and few photos do not fill the deeper one
    IMAGES_PER_GPU = 2
    IMAGE_MIN_DIM = 512
    IMAGE_MAX_DIM = 512
    VALIDATION_STEPS = 0  # validation is by AP, see `--validation-photos`

    # Measured on photos of products at 512 px: the square root of a logo's area is 6 to 115 px for nine of ten, and it
    # is 0.7 to 3.5 times as wide as high.
    RPN_ANCHOR_SCALES = (12, 24, 48, 96, 192)
    RPN_ANCHOR_RATIOS = [0.7, 1.5, 3]

    # A photo shows a few logos, not a hundred objects: fewer proposals and slots do, and cost less time and memory.
    # The heads learn from nearly all proposals that detection will ask about, in the proportion in which they come.
    # Drawn from more, the background would be mostly empty ground, and what resembles the logo would be false alarms.
    POST_NMS_ROIS_TRAINING = 300
    POST_NMS_ROIS_INFERENCE = 300
    TRAIN_ROIS_PER_IMAGE = 256
    MAX_GT_INSTANCES = 30
    DETECTION_MAX_INSTANCES = 50
    DETECTION_MIN_CONFIDENCE = 0.5

    # Both cost next to nothing: boxes fit better, and of two detections as sure of the logo the one that is surer of
    # its outline comes first. Weights files carry both; in those that are older than the settings they are off.
    DETECTION_BOX_VOTING = 0.5
    DETECTION_MASK_SCORES = True

    # Logos are thin and few: with the library's settings one anchor a logo is positive (IoU 0.7 is rare), and 3 to 18
    # of the RoIs are used. These give the RPN and the heads enough to learn from.
    RPN_POSITIVE_IOU = 0.5
    ROI_NEGATIVES = "fill"
    ADD_GT_BOXES = True
    MASK_TARGETS = "coverage"  # a swoosh's tail is narrower than a cell of its mask

    LEARNING_RATE = 0.0025  # of SGD, for each image of a batch: 0.005 at 2 images (Goyal et al. 2017: in proportion)
