"""Allowed values of settings and options, for the checks of `Config`, the layers and the commands."""

SETTINGS = {  # by name in `Config`
    "BACKBONE": ("resnet50", "resnet101", "resnext50", "resnext101", "mobilenet_v2"),
    "IMAGE_RESIZE_MODE": ("none", "square", "pad64", "crop"),
    "ROI_POOLING": ("align", "pool"),
    "ROI_ALIGN_METHOD": ("crop_and_resize", "gather"),
    "ROI_NEGATIVES": ("balanced", "matterport", "fill"),
    "MASK_TARGETS": ("rounded", "coverage"),
}
OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("constant", "cosine", "step")  # of the learning rate
LOSS_GROUPS = ("all", "rpn", "mrcnn")
PRECISIONS = ("auto", "on", "off")  # mixed precision
