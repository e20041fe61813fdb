"""Allowed values of settings and options, used by the checks of `Config`, the layers and the commands."""

# Backbones without a feature pyramid. The RPN and the RoIs use C4, and stage 5 is part of the heads.
C4_BACKBONES = ("resnet50_c4", "resnet101_c4")
SETTINGS = {  # allowed values of settings of `Config`
    "BACKBONE": ("resnet50", "resnet101", "resnext50", "resnext101", "mobilenet_v2", *C4_BACKBONES),
    "IMAGE_RESIZE_MODE": ("none", "square", "pad64", "crop"),
    "ROI_POOLING": ("align", "pool"),
    "ROI_ALIGN_METHOD": ("crop_and_resize", "gather"),
    "ROI_NEGATIVES": ("balanced", "matterport", "fill"),
    "MASK_TARGETS": ("rounded", "coverage"),
    "MASK_ACTIVATION": ("sigmoid", "softmax"),
}
COUNTS = (  # settings that must be integers of at least 1
    "NUM_CLASSES",
    "IMAGE_CHANNEL_COUNT",
    "GPU_COUNT",
    "IMAGES_PER_GPU",
    "IMAGE_MIN_DIM",
    "IMAGE_MAX_DIM",
    "PRE_NMS_LIMIT",
    "POST_NMS_ROIS_TRAINING",
    "POST_NMS_ROIS_INFERENCE",
    "TRAIN_ROIS_PER_IMAGE",
    "RPN_TRAIN_ANCHORS_PER_IMAGE",
    "RPN_ANCHOR_STRIDE",
    "RPN_CHANNELS",
    "MAX_GT_INSTANCES",
    "DETECTION_MAX_INSTANCES",
    "TOP_DOWN_PYRAMID_SIZE",
    "FPN_CLASSIF_FC_LAYERS_SIZE",
    "MASK_HEAD_CHANNELS",
    "POOL_SIZE",
    "MASK_POOL_SIZE",
    "MASK_REFINEMENT_CHANNELS",
    "MASK_REFINEMENT_ROIS",
)
OPTIONAL_COUNTS = ("MASK_HEAD_CONVOLUTIONS", "MASK_REFINEMENT_SIZE", "NUM_KEYPOINTS")  # integers of at least 0; 0: off
LENGTHS = {"BACKBONE_STRIDES": 5, "MASK_SHAPE": 2, "MINI_MASK_SHAPE": 2, "BBOX_STD_DEV": 4, "RPN_BBOX_STD_DEV": 4}
FRACTIONS = (  # settings that must lie between 0 and 1
    "RPN_NMS_THRESHOLD",
    "RPN_POSITIVE_IOU",
    "DETECTION_NMS_THRESHOLD",
    "DETECTION_MIN_CONFIDENCE",
    "DETECTION_BOX_VOTING",
    "ROI_POSITIVE_RATIO",
    "MASK_REFINEMENT_PADDING",
)
OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("constant", "cosine", "step")  # learning rate schedules
LOSS_GROUPS = ("all", "rpn", "mrcnn")
PRECISIONS = ("auto", "on", "off")  # mixed precision
