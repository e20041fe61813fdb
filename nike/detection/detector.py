"""Weights ready to look at photos: what `--weights` names, tiles, mirrored views, which classes to report."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrcnn.detections import Detections
from nike import cli  # noqa: F401  first: it quiets TensorFlow
from nike.datasets.settings import read_settings_file
from nike.quiet import import_tensorflow
from nike.training.start_weights import bundled_weights

TTA_CONFIDENCE = 0.05  # of a single view; the mean of all views must reach what the user asks for
COCO_CLASSES = 81


def find_weights(name: str, logs: Path = Path("logs"), run_name: str | None = None) -> Path:
    """The file that `--weights` names.

    Args:
        name: "nike" (bundled), "coco" (downloaded if need be), "last" or "best" (of the last training) or a path.
        logs: folder of the log folders, for "last" and "best".
        run_name: name of the runs that "last" and "best" choose from; None: any.

    Raises:
        FileNotFoundError: there is none; says what to do.
    """
    from mrcnn import checkpoints
    from mrcnn.checkpoints import log_dirs

    if name == "coco":
        return Path(checkpoints.coco_weights())
    if name == "last":
        return log_dirs.find_last(logs, run_name)
    if name == "best":
        return log_dirs.find_best(logs, run_name)
    if name == "nike":
        return bundled_weights()
    if not Path(name).is_file():
        raise FileNotFoundError(f"--weights: {name} is not a file, nor one of nike, coco, last, best.")
    return Path(name)


def chosen_weights(arguments: argparse.Namespace) -> Path:
    """The file that the options of `add_weights_arguments` choose; a choice among runs is printed to stderr.

    Raises:
        FileNotFoundError: see `find_weights`.
    """
    path = find_weights(arguments.weights, arguments.logs, arguments.name)
    if arguments.weights in ("last", "best"):
        print(f"--weights={arguments.weights}: {path}", file=sys.stderr)
    return path


class Detector:
    """A network and how to use it.

    Args:
        model: a MaskRCNN in inference mode, or anything with its `detect_stream` and `config`.
        class_names: by class id, background first.
        tiles: None, "auto" or a number: see `mrcnn.inference.tiles.tile_side`.
        tile_overlap: share of a tile that the next one shows again.
        augmented: detecting functions that vote (`mrcnn.inference.test_time_augmentation`); None: the model alone.
        min_confidence: detections below are left out.
        classes: names of the classes to report; None: all.
        max_detections: at most so many a photo, the best ones; None: all.
        path: the weights file; None if there is none.

    Raises:
        ValueError: an option is out of range, or a class is unknown.
    """

    def __init__(
        self,
        model: Any,
        class_names: Sequence[str],
        *,
        tiles: int | str | None = None,
        tile_overlap: float = 0.2,
        augmented: Sequence | None = None,
        min_confidence: float = 0.0,
        classes: Sequence[str] | None = None,
        max_detections: int | None = None,
        path: Path | None = None,
    ):
        from mrcnn.inference.tiles import check_tiling

        if tiles is not None:
            check_tiling(tiles, tile_overlap)
        self.model, self.class_names, self.path = model, list(class_names), path
        self.tiles, self.tile_overlap, self.augmented = tiles, tile_overlap, augmented
        self.min_confidence, self.max_detections = min_confidence, max_detections
        unknown = set(classes or ()) - set(self.class_names[1:])
        if unknown:
            known = ", ".join(self.class_names[1:10]) + (", ..." if len(self.class_names) > 10 else "")
            raise ValueError(f"--classes: these weights know {known}; not {', '.join(sorted(unknown))}.")
        self.class_ids = [i for i, name in enumerate(self.class_names) if classes is None or name in classes]

    def detect(self, photos: Iterable[np.ndarray]) -> Iterator[Detections]:
        """Looks at photos one by one.

        Args:
            photos: uint8 `[H, W, 3]` each; a generator is read only as far as needed.

        Yields:
            For each photo a result as `MaskRCNN.detect` gives it, best score first; with "error", where it cannot be
            used.
        """
        if self.tiles is None and self.augmented is None:
            results = self.model.detect_stream(photos, on_error="skip")
        else:
            results = map(self._detect_one, photos)
        return map(self._choose, results)

    def _detect_one(self, photo: np.ndarray) -> Detections:
        try:
            return self._detect_views(photo)
        except (ValueError, TypeError, OSError) as error:  # as `MaskRCNN.detect_stream` with on_error="skip"
            return Detections.failed(error)

    def _detect_views(self, photo: np.ndarray) -> Detections:
        from mrcnn.inference.test_time_augmentation import detect_augmented
        from mrcnn.inference.tiles import detect_tiled

        def detect(views: Iterable[np.ndarray]) -> Iterable[Detections]:
            if self.augmented is None:
                return self.model.detect_stream(views)
            return (detect_augmented(self.augmented, view) for view in views)

        if self.tiles is None:
            return next(iter(detect([photo])))
        side = int(self.model.config.IMAGE_MAX_DIM)
        return detect_tiled(detect, photo, self.tiles, side, self.tile_overlap)

    def _choose(self, result: Detections) -> Detections:
        rows = np.flatnonzero(np.isin(result.class_ids, self.class_ids) & (result.scores >= self.min_confidence))
        return result[rows[np.argsort(-result.scores[rows], kind="stable")][: self.max_detections]]


def load_detector(arguments: argparse.Namespace) -> Detector:
    """The detector that the options of `add_detector_arguments` describe.

    Raises:
        FileNotFoundError, ValueError: no such weights, or the file cannot be used.
    """
    min_confidence = arguments.min_confidence
    if min_confidence is not None and not 0 <= min_confidence <= 1:
        raise ValueError(f"--min-confidence: expected a number from 0 to 1, got {min_confidence:g}.")
    if arguments.max_detections is not None and arguments.max_detections < 1:
        raise ValueError(f"--max-detections: expected a number from 1, got {arguments.max_detections}.")
    if arguments.batch < 1:
        raise ValueError(f"--batch: expected a number from 1, got {arguments.batch}.")
    path = chosen_weights(arguments)
    config, class_names = read_settings(path, arguments.config)
    if min_confidence is None:
        min_confidence = float(config.DETECTION_MIN_CONFIDENCE or 0)
    config = config.copy(
        GPU_COUNT=1,
        IMAGES_PER_GPU=arguments.batch,
        DETECTION_ANY_FOREGROUND=True,  # the confidence alone decides, also below that of the background
        DETECTION_MIN_CONFIDENCE=min(min_confidence, TTA_CONFIDENCE) if arguments.tta else min_confidence,
        DETECTION_MAX_INSTANCES=max(config.DETECTION_MAX_INSTANCES, arguments.max_detections or 0),
    )
    model = load_model(path, config)
    augmented = None
    if arguments.tta:
        from mrcnn.inference.test_time_augmentation import scaled_detectors

        augmented = scaled_detectors(model)
    return Detector(
        model,
        class_names,
        tiles=arguments.tiles,
        tile_overlap=arguments.tile_overlap,
        augmented=augmented,
        min_confidence=min_confidence,
        classes=arguments.classes,
        max_detections=arguments.max_detections,
        path=path,
    )


def read_settings(path: Path, config_file: Path | None = None) -> tuple[Any, list[str]]:
    """The Config of a weights file, and its class names, background first.

    Args:
        path: the weights.
        config_file: JSON or YAML with settings that replace those of the weights; needed where they carry none.

    Raises:
        ValueError: the file is damaged, or carries no settings and is not the original's for COCO.
    """
    from mrcnn.checkpoints import read_checkpoint
    from mrcnn.config import Config
    from mrcnn.data.coco_classes import COCO_CLASS_NAMES

    with read_checkpoint(path) as checkpoint:
        settings, metadata = checkpoint.config, checkpoint.metadata
        head = checkpoint.layers.get("mrcnn_class_logits")
        classes = head.weights["bias"].shape[0] if head is not None and "bias" in head.weights else None
    changes = {} if config_file is None else read_settings_file(config_file)
    if settings is None and config_file is None and classes != COCO_CLASSES:
        raise ValueError(
            f"{path}: the file carries no settings, as weights of other programs do not. Give those that it was "
            'trained with: --config FILE, JSON such as {"BACKBONE": "resnet101", "IMAGE_MAX_DIM": 512}.'
        )
    config = Config.from_dict({"NAME": "weights", "NUM_CLASSES": classes or 2, **(settings or {})}, str(path))
    config = config.from_dict(changes, str(config_file))
    return config, _class_names(metadata, config.NUM_CLASSES, COCO_CLASS_NAMES)


def _class_names(metadata: Mapping[str, Any], count: int, coco: Sequence[str]) -> list[str]:
    """Those in the file; or COCO's if there are so many; or numbers."""
    names = metadata.get("class_names")
    if isinstance(names, list) and len(names) == count and all(isinstance(name, str) for name in names):
        return names
    if count == COCO_CLASSES:
        return list(coco)
    return ["BG", "nike"] if count == 2 else ["BG", *(f"class {i}" for i in range(1, count))]


def load_model(path: Path, config: Any) -> Any:
    """A `MaskRCNN` in inference mode with the weights of a file, in the faster precision; messages go to stderr."""
    import_tensorflow()
    import keras

    from mrcnn.model import MaskRCNN
    from mrcnn.training.devices import prepare_devices, set_precision

    policy = keras.config.dtype_policy()
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
        print(f"device {prepare_devices()}, {set_precision()}")
        try:
            model = MaskRCNN("inference", config, "logs")
        finally:  # layers keep the policy that they were made with; the caller keeps its own
            keras.config.set_dtype_policy(policy)
        model.load_weights(path)  # by name, the weights of a deeper backbone would fit too
    return model


# --- options that all commands share ---


def _tiles(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number or 'auto' (--tiles auto PATH ...), got {text!r}") from None


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def add_weights_arguments(parser: argparse.ArgumentParser, weights: str | None) -> None:
    """Adds the options that choose the weights: `--weights`, `--logs`, `--name` and `--config`.

    Args:
        parser: of the command.
        weights: default of `--weights`; None for a command that needs none.
    """
    file = parser.add_argument_group("weights")
    file.add_argument(
        "--weights",
        default=weights,
        metavar="NAME",
        help="nike (bundled), coco (80 everyday things; downloaded), best or last (the best validation AP or the last "
        f"epoch of your newest run) or a file (default: {weights or 'none, the network is not used'})",
    )
    file.add_argument(
        "--logs", type=Path, default=Path("logs"), metavar="DIR", help="folder of your runs (default: logs)"
    )
    file.add_argument("--name", help="name of the run for best, last (default: newest run of any name)")
    file.add_argument(
        "--config", type=Path, metavar="FILE", help="JSON or YAML: settings in place of those in the weights file"
    )


def add_detector_arguments(
    parser: argparse.ArgumentParser, weights: str | None = "nike", min_confidence: float | None = None
) -> None:
    """Adds the options that `load_detector` reads.

    Args:
        parser: of the command.
        weights: default of `--weights`; None for a command that needs none.
        min_confidence: default of `--min-confidence`; None: as the weights' Config says.
    """
    add_weights_arguments(parser, weights)
    looking = parser.add_argument_group("how to look")
    looking.add_argument(
        "--min-confidence",
        type=float,
        default=min_confidence,
        metavar="SCORE",
        help="leave out what is less certain, 0 to 1 "
        f"(default: {'as the weights say, mostly 0.5' if min_confidence is None else min_confidence})",
    )
    looking.add_argument(
        "--classes", type=_names, metavar="NAMES", help="only these classes, such as nike,adidas (default: all)"
    )
    looking.add_argument(
        "--max-detections", type=int, metavar="N", help="only the N most certain on each photo (default: all)"
    )
    looking.add_argument(
        "--tiles",
        type=_tiles,
        nargs="?",
        const="auto",
        metavar="N",
        help="for small logos on large photos: look also at overlapping tiles, N along the longer side, or as many "
        "as the photo is large enough for (auto, or no N). Each tile takes as long as a photo",
    )
    looking.add_argument(
        "--tile-overlap",
        type=float,
        default=0.2,
        metavar="SHARE",
        help="how much of a tile its neighbour shows too, 0 to 0.9 (default: 0.2)",
    )
    looking.add_argument(
        "--tta",
        action="store_true",
        help="look at each photo also mirrored and enlarged, and take the mean: fewer false alarms, 6 times slower",
    )
    looking.add_argument(
        "--batch", type=int, default=1, metavar="N", help="photos at the same time; more suits a GPU (default: 1)"
    )
