"""The `Config` class: settings of the network, training and detection as UPPER_CASE class attributes.

Subclass it and override settings:

    class ShapesConfig(Config):
        NAME = "shapes"
        NUM_CLASSES = 1 + 3  # background + 3 shapes

Names and defaults follow Matterport's Mask R-CNN. The last block contains settings that Matterport does not have.
"""

from __future__ import annotations

import copy
import difflib
import inspect
import json
import numbers
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from mrcnn import choices
from mrcnn.config_json import from_json_value, to_json_value
from mrcnn.errors import UserError

DERIVED = ("BATCH_SIZE", "IMAGE_SHAPE", "IMAGE_META_SIZE")  # computed by __init__
# Removed settings, which older files may contain, and their former defaults.
REMOVED = {"HARD_EXAMPLE_MINING": 0, "DETECTION_CLASS_AGNOSTIC_NMS": False}
# Number of values for image id, original shape, preprocessed shape, window and scale. One flag per class follows.
IMAGE_META_BASE = 1 + 3 + 3 + 4 + 1
NETWORK_STRIDE = 64  # stride of P6 in pixels
LEVELS = 5  # pyramid levels P2..P6
# Settings for which False and 0 mean "no limit" (Matterport scripts use False). Mode "square" requires IMAGE_MAX_DIM.
UNLIMITED_IF_FALSE = ("IMAGE_MIN_SCALE", "IMAGE_MAX_DIM")


class Config:
    """Settings of one experiment. The settings are class attributes, and `__init__` computes the derived values."""

    NAME: str | None = None  # short name, used in the names of log folders and checkpoint files

    # --- Devices and steps ---
    GPU_COUNT = 1
    IMAGES_PER_GPU = 2
    STEPS_PER_EPOCH = 1000
    VALIDATION_STEPS = 50

    # --- Network ---
    # A name from `choices.SETTINGS`, or a function `f(image, stage5, train_bn) -> [C1, ..., C5]`. With a function,
    # COMPUTE_BACKBONE_SHAPE(image_shape) must return the `[5, 2]` sizes of P2..P6. "resnet50_c4" and "resnet101_c4"
    # have no feature pyramid: the RPN (with all anchor scales) and the RoIs use C4, and stage 5 is the body of the box
    # and mask heads.
    BACKBONE: Any = "resnet101"
    COMPUTE_BACKBONE_SHAPE: Any = None
    BACKBONE_STRIDES = [4, 8, 16, 32, 64]
    FPN_CLASSIF_FC_LAYERS_SIZE = 1024
    TOP_DOWN_PYRAMID_SIZE = 256
    NUM_CLASSES = 1  # including the background, so 2 for one object class
    TRAIN_BN: bool | None = False  # None: batch statistics in training; False: frozen; True: always batch statistics

    # --- Region proposals ---
    # Side length of the square anchors in pixels: one to five values for the levels P2, P3, ... The RPN does not run
    # on levels without a scale.
    RPN_ANCHOR_SCALES = (32, 64, 128, 256, 512)
    RPN_ANCHOR_RATIOS = [0.5, 1, 2]  # width / height
    RPN_ANCHOR_STRIDE = 1
    RPN_NMS_THRESHOLD = 0.7
    RPN_TRAIN_ANCHORS_PER_IMAGE = 256
    PRE_NMS_LIMIT = 6000
    POST_NMS_ROIS_TRAINING = 2000
    POST_NMS_ROIS_INFERENCE = 1000

    # --- Images ---
    IMAGE_RESIZE_MODE = "square"
    IMAGE_MIN_DIM = 800
    IMAGE_MAX_DIM = 1024
    IMAGE_MIN_SCALE: float | None = 0
    IMAGE_CHANNEL_COUNT = 3
    MEAN_PIXEL = np.array([123.7, 116.8, 103.9])  # RGB

    # --- Masks and RoIs ---
    USE_MINI_MASK = True
    MINI_MASK_SHAPE = (56, 56)
    TRAIN_ROIS_PER_IMAGE = 200
    ROI_POSITIVE_RATIO = 0.33
    POOL_SIZE = 7
    MASK_POOL_SIZE = 14
    MASK_SHAPE = [28, 28]
    MAX_GT_INSTANCES = 100
    RPN_BBOX_STD_DEV = np.array([0.1, 0.1, 0.2, 0.2])
    BBOX_STD_DEV = np.array([0.1, 0.1, 0.2, 0.2])

    # --- Detection ---
    DETECTION_MAX_INSTANCES = 100
    DETECTION_MIN_CONFIDENCE: float | None = 0.7
    DETECTION_NMS_THRESHOLD = 0.3

    # --- Training ---
    LEARNING_RATE = 0.001
    LEARNING_MOMENTUM = 0.9
    WEIGHT_DECAY = 0.0001
    LOSS_WEIGHTS = {
        "rpn_class_loss": 1.0,
        "rpn_bbox_loss": 1.0,
        "mrcnn_class_loss": 1.0,
        "mrcnn_bbox_loss": 1.0,
        "mrcnn_mask_loss": 1.0,
    }
    USE_RPN_ROIS = True
    GRADIENT_CLIP_NORM: float | None = 5.0

    # --- Settings that Matterport does not have. All defaults except ROI_NEGATIVES keep Matterport's behaviour. ---
    # "rpn", or the name of an external source of proposals. With an external source, the network has no RPN (Fast
    # R-CNN), and the boxes come from `load_rois` of the dataset and from `detect(images, proposals=...)`. This requires
    # USE_RPN_ROIS = False.
    PROPOSALS = "rpn"
    MASK_HEAD = True  # False: boxes only (Faster R-CNN)
    # Number of keypoints per object; 0: no keypoint head. The keypoint head uses the RoI size of the mask head and
    # twice its channels and convolutions (MASK_POOL_SIZE, MASK_HEAD_CHANNELS, MASK_HEAD_CONVOLUTIONS), as in the paper.
    NUM_KEYPOINTS = 0
    KEYPOINT_NAMES: Sequence[str] = ()  # optional names of the keypoints, as in the annotation files
    # Index pairs of left and right keypoints, such as ((1, 2), (3, 4)). Mirroring an image swaps them.
    KEYPOINT_FLIP: Sequence[Sequence[int]] = ()
    RPN_CHANNELS = 512  # width of the RPN's shared convolution
    MASK_HEAD_CHANNELS = 256
    MASK_HEAD_CONVOLUTIONS = 4
    ROI_POOLING = "align"  # "align": RoIAlign; "pool": RoIPool of Fast R-CNN, for comparison
    ROI_ALIGN_METHOD = "crop_and_resize"  # or "gather": slower on CPUs, but supports XLA and all export formats
    # True: assign the best foreground class even if the background is more probable. Required to compute AP.
    DETECTION_ANY_FOREGROUND = False
    # Bounding box voting: minimum IoU of the boxes that are averaged into a detection, such as 0.5; 1: no voting. A
    # value below the NMS threshold would average the boxes of neighbouring objects.
    DETECTION_BOX_VOTING = 1.0
    # True: detect() multiplies each score by the confidence of the mask, which improves mask AP. The threshold
    # DETECTION_MIN_CONFIDENCE then applies to the product. The network outputs of run_graph do not change.
    DETECTION_MASK_SCORES = False
    # Background RoIs used to train the heads: "balanced" (also in images without objects), "matterport" (only in images
    # with a positive RoI) or "fill" (all remaining rows). See `targets.DetectionTargetLayer`.
    ROI_NEGATIVES = "balanced"
    ADD_GT_BOXES = False  # True: add the ground-truth boxes to the proposals in training, as in the paper's code
    MASK_TARGETS = "rounded"  # or "coverage": the covered fraction of each cell instead of 0 or 1; see `mask_targets`
    # "sigmoid": a binary mask for each class; "softmax": classes and background compete for each cell, for comparison.
    MASK_ACTIVATION = "sigmoid"
    # Side of the refined masks in cells, a multiple of 8, such as 112; 0: no refinement. See `layers.mask_refinement`.
    MASK_REFINEMENT_SIZE = 0
    MASK_REFINEMENT_PADDING = 0.15  # padding on each side of the box, as a fraction of its height or width
    MASK_REFINEMENT_CHANNELS = 16
    MASK_REFINEMENT_ROIS = 8  # positive RoIs per image that train the refinement
    RPN_POSITIVE_IOU = 0.7  # minimum IoU of positive anchors; thin objects require a lower value

    def __init__(self) -> None:
        self.BATCH_SIZE = self.IMAGES_PER_GPU * self.GPU_COUNT
        side = self.IMAGE_MIN_DIM if self.IMAGE_RESIZE_MODE == "crop" else self.IMAGE_MAX_DIM
        self.IMAGE_SHAPE = np.array([side, side, self.IMAGE_CHANNEL_COUNT])
        self.IMAGE_META_SIZE = IMAGE_META_BASE + self.NUM_CLASSES

    @property
    def has_rpn(self) -> bool:
        """Whether the network has an RPN. False if the proposals are external."""
        return self.PROPOSALS == "rpn"

    @classmethod
    def fields(cls) -> list[str]:
        """Returns the sorted names of the settings, without derived values."""
        return sorted(name for name in dir(cls) if name.isupper())

    def to_dict(self) -> dict[str, Any]:
        """Returns all settings and derived values, sorted by name. Functions are omitted."""
        names = sorted(name for name in dir(self) if name.isupper())
        return {name: getattr(self, name) for name in names if not callable(getattr(self, name))}

    def display(self) -> None:
        """Prints all settings."""
        print("\nConfigurations:")
        for name, value in self.to_dict().items():
            print(f"{name:30} {value}")
        print("\n")

    def to_json(self, indent: int | None = 2) -> str:
        """Returns the settings, without derived values, as JSON that `from_json` reads.

        Settings added by a subclass are omitted, because `Config.from_json` would reject them.
        """
        settings = {name: value for name, value in self.to_dict().items() if name in Config.fields()}
        settings |= {name: 0 for name in UNLIMITED_IF_FALSE if settings[name] is False}
        return json.dumps(settings, indent=indent, default=to_json_value, sort_keys=True)

    @classmethod
    def from_dict(cls, settings: dict[str, Any], where: str = "config") -> Self:
        """Creates a config with some settings replaced.

        Args:
            settings: values by field name. Derived values (BATCH_SIZE, ...) are accepted and recomputed. Removed
                settings from older files are ignored, with a warning if they differ from their former default.
            where: prefix of error messages, such as the file name.

        Returns:
            An instance of a subclass of this class.

        Raises:
            ValueError: if a field does not exist or its value has the wrong type.
        """
        if not isinstance(settings, dict):
            raise UserError(f"{where}: expected an object of settings by name, got {type(settings).__name__}.")
        fields = {name: value for name, value in settings.items() if name not in (*DERIVED, *REMOVED)}
        for name, default in REMOVED.items():
            if settings.get(name, default) != default:
                warnings.warn(f"{where}: {name} is ignored, because this setting was removed.", stacklevel=2)
        _check_names(fields, cls.fields(), where)
        for name, value in fields.items():
            if value is None and _may_be_none(name):
                continue
            fields[name] = from_json_value(getattr(cls, name), value, f"{where}: {name}")
        return cls._create_subclass(fields)()

    @classmethod
    def from_json(cls, text: str, where: str = "config") -> Self:
        """Creates a config from the output of `to_json`. Raises ValueError if the text is not valid."""
        try:
            settings = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}: not valid JSON ({error}).") from None
        return cls.from_dict(settings, where)

    def function(self, field: str) -> Callable:
        """Returns a setting that is a function, such as BACKBONE, without binding it to the instance."""
        value = getattr(self, field)
        plain = getattr(value, "__func__", None)
        if plain is not None and next(iter(inspect.signature(plain).parameters), None) != "self":
            return plain
        return value

    def copy(self, **changes: Any) -> Self:
        """Returns a copy, including instance attributes, with some settings replaced. Derived values are recomputed.

        Raises:
            ValueError: if a setting does not exist. The values are checked by `validate`.
        """
        _check_names(changes, self.fields(), type(self).__name__)
        settings = {**{name: self.function(name) for name in self.fields()}, **changes}
        for name, value in settings.items():  # a plain function would become a method of the class
            settings[name] = staticmethod(value) if callable(value) else copy.copy(value)
        config = object.__new__(type(self)._create_subclass(settings))
        Config.__init__(config)  # the `__init__` of a subclass may require arguments
        return config

    @classmethod
    def _create_subclass(cls, settings: Mapping[str, Any]) -> type[Self]:
        """Returns a subclass with some settings replaced. Its base is the class defined in code, not another copy."""
        base = cls.__dict__.get("_declared_class", cls)
        inherited = {name: value for name, value in vars(cls).items() if name.isupper()} if base is not cls else {}
        return type(base.__name__, (base,), {**inherited, **settings, "_declared_class": base})

    def __reduce__(self) -> tuple:
        """Pickles the settings and the class that was declared in source code.

        `copy` creates a class at run time, which pickle could not import.
        """
        base = type(self).__dict__.get("_declared_class")
        if base is None:
            return _restore, (type(self), {}, vars(self))
        return _restore, (base, {name: self.function(name) for name in vars(type(self)) if name.isupper()}, vars(self))

    def validate(self) -> None:
        """Checks that the settings are consistent.

        Raises:
            ValueError: if they are inconsistent. The message contains the setting, the expected and the actual value,
                and the fix.
        """
        self._validate_values()
        self._validate_network()
        self._validate_keypoints()
        self._validate_image_size()

    def _validate_network(self) -> None:
        name = type(self).__name__
        if callable(self.BACKBONE) and not callable(self.COMPUTE_BACKBONE_SHAPE):
            raise UserError(
                f"{name}: BACKBONE is a function, so COMPUTE_BACKBONE_SHAPE must be a function that returns the "
                "[5, 2] sizes of P2..P6 for an image shape."
            )
        if self.NUM_CLASSES < 2:
            raise UserError(
                f"{name}: NUM_CLASSES counts the background, so it must be at least 2, got {self.NUM_CLASSES}. "
                "Set NUM_CLASSES = 1 + your number of classes."
            )
        if self.IMAGE_META_SIZE != IMAGE_META_BASE + self.NUM_CLASSES:
            raise UserError(
                f"{name}: NUM_CLASSES was changed to {self.NUM_CLASSES} after the Config was created. "
                "Set it in the class, or call config.__init__() after the change."
            )
        if not 1 <= len(self.RPN_ANCHOR_SCALES) <= LEVELS:
            raise UserError(
                f"{name}: RPN_ANCHOR_SCALES must contain 1 to {LEVELS} scales, one per level starting at P2, got "
                f"{len(self.RPN_ANCHOR_SCALES)}: {self.RPN_ANCHOR_SCALES}."
            )
        if not self.has_rpn and self.USE_RPN_ROIS:
            raise UserError(
                f"{name}: PROPOSALS = {self.PROPOSALS!r} means a network without an RPN, but USE_RPN_ROIS is True. Set "
                "USE_RPN_ROIS = False."
            )
        if tuple(self.MASK_SHAPE) != (2 * self.MASK_POOL_SIZE, 2 * self.MASK_POOL_SIZE):
            raise UserError(
                f"{name}: MASK_SHAPE must be twice MASK_POOL_SIZE ({2 * self.MASK_POOL_SIZE}, "
                f"{2 * self.MASK_POOL_SIZE}), got {tuple(self.MASK_SHAPE)}."
            )
        for field in ("MASK_REFINEMENT_SIZE", "DETECTION_MASK_SCORES"):
            if getattr(self, field) and not self.MASK_HEAD:
                off = type(getattr(self, field))(0)
                raise UserError(f"{name}: {field} requires masks, but MASK_HEAD is False. Set {field} = {off}.")
        for field in ("MASK_REFINEMENT_SIZE", "NUM_KEYPOINTS"):
            if getattr(self, field) and self.BACKBONE in choices.C4_BACKBONES:
                raise UserError(
                    f"{name}: {field} requires a feature pyramid, which BACKBONE = {self.BACKBONE!r} does not have. "
                    f"Set {field} = 0."
                )
        if self.MASK_REFINEMENT_SIZE % 8:
            raise UserError(f"{name}: MASK_REFINEMENT_SIZE must be a multiple of 8, got {self.MASK_REFINEMENT_SIZE}.")
        if len(np.atleast_1d(self.MEAN_PIXEL)) != self.IMAGE_CHANNEL_COUNT:
            raise UserError(
                f"{name}: MEAN_PIXEL must contain one value per channel (IMAGE_CHANNEL_COUNT = "
                f"{self.IMAGE_CHANNEL_COUNT}), got {len(np.atleast_1d(self.MEAN_PIXEL))}."
            )
        for field, allowed in choices.SETTINGS.items():
            value = getattr(self, field)
            if value not in allowed and not (field == "BACKBONE" and callable(value)):
                raise UserError(f"{name}: {field} must be one of {', '.join(allowed)}; got {value!r}.")

    def _validate_keypoints(self) -> None:
        name = type(self).__name__
        names = list(self.KEYPOINT_NAMES)
        if names and not len(set(names)) == len(names) == self.NUM_KEYPOINTS:
            raise UserError(
                f"{name}: KEYPOINT_NAMES must contain NUM_KEYPOINTS ({self.NUM_KEYPOINTS}) distinct names, got {names}."
            )
        pairs = np.array(self.KEYPOINT_FLIP, dtype=object)
        indices = pairs.ravel().tolist()
        are_indices = all(isinstance(i, (int, np.integer)) and i < self.NUM_KEYPOINTS for i in indices)
        are_pairs = not indices or pairs.shape[1:] == (2,)
        if not are_indices or not are_pairs or len(set(indices)) < len(indices):
            raise UserError(
                f"{name}: KEYPOINT_FLIP must contain pairs of distinct indices below NUM_KEYPOINTS "
                f"({self.NUM_KEYPOINTS}), each index at most once, got {pairs.tolist()}."
            )

    def _validate_values(self) -> None:
        name = type(self).__name__
        for field in Config.fields():  # settings added by a subclass are not checked
            value = getattr(self, field)
            expected = _unmet_requirement(field, value)
            if expected is not None:
                raise UserError(f"{name}: {field} must be {expected}, got {value!r}.")
        if self.DETECTION_BOX_VOTING == 0:
            raise UserError(
                f"{name}: DETECTION_BOX_VOTING must be above 0, because 0 would average all boxes of the image. "
                "Set it to 1 for no voting."
            )

    def _validate_image_size(self) -> None:
        name = type(self).__name__
        if self.IMAGE_MIN_DIM > self.IMAGE_MAX_DIM and self.IMAGE_RESIZE_MODE == "square":
            raise UserError(
                f"{name}: IMAGE_MIN_DIM ({self.IMAGE_MIN_DIM}) must not exceed IMAGE_MAX_DIM ({self.IMAGE_MAX_DIM})."
            )
        field = {"none": None, "square": "IMAGE_MAX_DIM"}.get(self.IMAGE_RESIZE_MODE, "IMAGE_MIN_DIM")
        if field and getattr(self, field) % NETWORK_STRIDE:
            side = getattr(self, field)
            low = max(side // NETWORK_STRIDE, 1) * NETWORK_STRIDE
            raise UserError(
                f"{name}: {field} must be a multiple of {NETWORK_STRIDE} in mode {self.IMAGE_RESIZE_MODE!r}, "
                f"got {side}; use {low} or {low + NETWORK_STRIDE}."
            )


def _restore(base: type[Config], settings: dict[str, Any], attributes: dict[str, Any]) -> Config:
    """Restores a pickled config; see `Config.__reduce__`."""
    settings = {name: staticmethod(value) if callable(value) else value for name, value in settings.items()}
    config = object.__new__(base._create_subclass(settings) if settings else base)
    vars(config).update(attributes)
    return config


def _check_names(settings: Iterable[str], fields: list[str], where: str) -> None:
    """Raises UserError for the first unknown setting and suggests the most similar name."""
    for name in settings:
        if name not in fields:
            near = difflib.get_close_matches(str(name).upper(), fields, n=1)
            hint = f"did you mean {near[0]}?" if near else "see mrcnn/config.py for the fields."
            raise UserError(f"{where}: unknown setting {name!r}; {hint}")


def _unmet_requirement(field: str, value: Any) -> str | None:
    """Returns a description of the valid values of a setting, or None if `value` is valid.

    The valid values are derived from the annotation and the default value of the setting.
    """
    default = getattr(Config, field)
    if value is None and _may_be_none(field):
        return None
    if field in UNLIMITED_IF_FALSE and isinstance(value, int) and value == 0:  # False is an int
        return None
    if field == "TRAIN_BN":  # ConvNorm compares by identity, so 1 would have the effect of False
        return None if isinstance(value, bool) else "None, True or False"
    if isinstance(default, bool):
        is_flag = isinstance(value, (int, np.integer, np.bool_)) and value in (0, 1)
        return None if is_flag else "True or False"
    if field in (*choices.COUNTS, *choices.OPTIONAL_COUNTS):
        least = 0 if field in choices.OPTIONAL_COUNTS else 1
        is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        return None if is_whole and value >= least else f"an integer of at least {least}"
    if field in choices.FRACTIONS:
        return None if _is_number(value) and value <= 1 else "a number between 0 and 1"
    if isinstance(default, (int, float)):
        return None if _is_number(value) else "a finite number of at least 0"
    if isinstance(default, dict):
        are_numbers = isinstance(value, dict) and all(_is_number(each) for each in value.values())
        return None if are_numbers else "a dict of finite numbers of at least 0"
    if field == "KEYPOINT_NAMES":
        are_strings = isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)
        return None if are_strings else "strings"
    if isinstance(default, (list, tuple, np.ndarray)):
        items, length = np.array(value, dtype=object), choices.LENGTHS.get(field)
        may_be_scalar = field in ("MEAN_PIXEL", "KEYPOINT_FLIP")  # their shapes are checked by other methods
        are_numbers = all(_is_number(each) for each in items.flat) and (items.ndim > 0 or may_be_scalar)
        count = f"{length} " if length else ""
        fits = not length or items.shape == (length,)
        return None if are_numbers and fits else f"a list of {count}finite numbers of at least 0"
    if isinstance(default, str) or field == "NAME":
        return None if isinstance(value, str) or callable(value) else "a string"
    return None


def _may_be_none(field: str) -> bool:
    return "None" in Config.__annotations__.get(field, "")


def _is_number(value: Any) -> bool:
    """Returns whether a value is a finite Python or NumPy number of at least 0."""
    is_number = isinstance(value, (numbers.Real, np.number)) and not isinstance(value, bool)
    return is_number and 0 <= float(value) < np.inf
