"""NikeConfig: settings for one logo class, a few hundred training images and a CPU or a single GPU."""

from mrcnn.config import Config


class NikeConfig(Config):
    """Default settings of `nike train`, which `--config FILE` overrides.

    Settings that are not listed here have the defaults of `mrcnn.config.Config`. If only the backbone has initial
    weights, `nike train` reduces the widths of the feature pyramid and the heads; see `nike.training.start_weights`.
    """

    NAME = "nike"
    NUM_CLASSES = 1 + 1
    BACKBONE = "resnet50"  # a third faster than ResNet-101, which requires more training images
    IMAGES_PER_GPU = 2
    IMAGE_MIN_DIM = 512
    IMAGE_MAX_DIM = 512
    VALIDATION_STEPS = 0  # validation computes AP instead of losses; see `--validation-photos`

    # Measured on product photos at 512 px: for 90% of the logos the square root of the area is 6 to 115 px and the
    # aspect ratio (width / height) is 0.7 to 3.5.
    RPN_ANCHOR_SCALES = (12, 24, 48, 96, 192)
    RPN_ANCHOR_RATIOS = [0.7, 1.5, 3]

    # Images contain few logos, so fewer proposals and ground-truth slots suffice than for COCO. Training samples 256 of
    # 300 proposals. The background RoIs are therefore high-scoring proposals, as in detection. Sampling from more
    # proposals would mostly add easy background RoIs and increase false positives.
    POST_NMS_ROIS_TRAINING = 300
    POST_NMS_ROIS_INFERENCE = 300
    TRAIN_ROIS_PER_IMAGE = 256
    MAX_GT_INSTANCES = 30
    DETECTION_MAX_INSTANCES = 50
    DETECTION_MIN_CONFIDENCE = 0.5

    # Box voting improves localization, and mask scores improve the ranking, both at negligible cost. Both settings are
    # stored in checkpoints. For older checkpoints without them, box voting and mask scores are disabled.
    DETECTION_BOX_VOTING = 0.5
    DETECTION_MASK_SCORES = True

    # Anchors rarely reach IoU 0.7 with a thin logo. With the library's defaults, about one anchor per logo is positive
    # and only 3 to 18 RoIs per image are sampled. These settings yield more positive anchors and 256 RoIs per image.
    RPN_POSITIVE_IOU = 0.5
    ROI_NEGATIVES = "fill"
    ADD_GT_BOXES = True
    # Outlines of thin logos require more than 28 x 28 mask cells. Mini masks have 2 x 2 pixels per refined cell.
    MASK_REFINEMENT_SIZE = 112
    MINI_MASK_SHAPE = (224, 224)
    MASK_TARGETS = "coverage"  # the tail of a swoosh is narrower than a cell of the 28 x 28 mask
