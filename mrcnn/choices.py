"""Allowed values of settings and options, for the checks of `Config`, the layers and the commands."""

C4_BACKBONES = ("resnet50_c4", "resnet101_c4")  # without a pyramid: RPN and RoIs on C4, stage 5 in the heads
SETTINGS = {  # by name in `Config`
    "BACKBONE": ("resnet50", "resnet101", "resnext50", "resnext101", "mobilenet_v2", *C4_BACKBONES),
    "IMAGE_RESIZE_MODE": ("none", "square", "pad64", "crop"),
    "ROI_POOLING": ("align", "pool"),
    "ROI_ALIGN_METHOD": ("crop_and_resize", "gather"),
    "ROI_NEGATIVES": ("balanced", "matterport", "fill"),
    "MASK_TARGETS": ("rounded", "coverage"),
    "MASK_ACTIVATION": ("sigmoid", "softmax"),
}
OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("constant", "cosine", "step")  # of the learning rate
LOSS_GROUPS = ("all", "rpn", "mrcnn")
PRECISIONS = ("auto", "on", "off")  # mixed precision
