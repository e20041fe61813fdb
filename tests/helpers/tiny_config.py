"""Settings of a network that can be built, trained and run within seconds."""

from mrcnn.config import Config


class TinyConfig(Config):
    """Config with MobileNetV2, an image size of 64 pixels, narrow heads, and no score threshold."""

    NAME = "tiny"
    BACKBONE = "mobilenet_v2"
    NUM_CLASSES = 3
    IMAGES_PER_GPU = 2
    IMAGE_MIN_DIM = IMAGE_MAX_DIM = 64
    RPN_ANCHOR_SCALES = (8, 16, 32, 48, 64)
    TOP_DOWN_PYRAMID_SIZE = RPN_CHANNELS = MASK_HEAD_CHANNELS = 16
    FPN_CLASSIF_FC_LAYERS_SIZE = 32
    MASK_HEAD_CONVOLUTIONS = 2
    PRE_NMS_LIMIT = 200
    POST_NMS_ROIS_TRAINING = 50
    POST_NMS_ROIS_INFERENCE = 40
    TRAIN_ROIS_PER_IMAGE = 16
    MAX_GT_INSTANCES = 8
    DETECTION_MAX_INSTANCES = 10
    DETECTION_MIN_CONFIDENCE = 0.0
