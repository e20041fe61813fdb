"""Settings of the original network that computed the reference arrays."""

from mrcnn.config import Config


class ReferenceConfig(Config):
    """Config with ResNet-50, an image size of 256 pixels and two classes."""

    NAME = "small"
    BACKBONE = "resnet50"
    NUM_CLASSES = 2
    IMAGES_PER_GPU = 1
    IMAGE_MIN_DIM = IMAGE_MAX_DIM = 256
    RPN_ANCHOR_SCALES = (8, 16, 32, 64, 128)
    PRE_NMS_LIMIT = 2000
    POST_NMS_ROIS_TRAINING = 600
    POST_NMS_ROIS_INFERENCE = 300
    TRAIN_ROIS_PER_IMAGE = 64
    MAX_GT_INSTANCES = 20
    DETECTION_MAX_INSTANCES = 50
    DETECTION_MIN_CONFIDENCE = 0
