"""The detector that the commands use, with tiles, test-time augmentation and filters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np

from mrcnn.detections import Detections
from mrcnn.errors import UserError
from mrcnn.export import ExportedModel, is_export
from nike import cli  # noqa: F401  imported first to suppress TensorFlow's messages
from nike.datasets.selective_search import check_proposals, find_proposals
from nike.detection.weights import load_keras_model, read_settings
from nike.quiet import quiet_stderr

TTA_CONFIDENCE = 0.05  # score threshold of a single view; min_confidence applies to the mean of all views


class Detector:
    """Runs a model on images, optionally with tiles or test-time augmentation, and filters its detections.

    Args:
        model: a MaskRCNN in inference mode, an ExportedModel, or another object with `detect_stream` and `config`.
        class_names: class names by class id, background first.
        tiles: number of tiles along the longer side, "auto" (see `mrcnn.inference.tiles.tile_side`), or None for no
            tiling.
        tile_overlap: fraction of a tile that overlaps the next one, 0 to 0.9.
        augmented: detection functions for test-time augmentation (see `mrcnn.inference.test_time_augmentation`), or
            None.
        min_confidence: score threshold, 0 to 1.
        classes: names of the classes to report, or None for all.
        max_detections: maximum number of detections per image, highest scores first, or None.
        path: weights file, or None.

    Attributes:
        cache: folder in which external proposals are cached, or None; see `nike.datasets.selective_search`.

    Raises:
        ValueError: if an option is out of range, or a class is unknown.
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
        self.cache: Path | None = None
        self.tiles, self.tile_overlap, self.augmented = tiles, tile_overlap, augmented
        self.min_confidence, self.max_detections = min_confidence, max_detections
        unknown = set(classes or ()) - set(self.class_names[1:])
        if unknown:
            known = ", ".join(self.class_names[1:10]) + (", ..." if len(self.class_names) > 10 else "")
            raise UserError(f"--classes: expected classes of the weights ({known}), got {', '.join(sorted(unknown))}.")
        self.class_ids = [i for i, name in enumerate(self.class_names) if classes is None or name in classes]

    @property
    def has_masks(self) -> bool:
        """Whether the detections have masks. False for weights trained with `--task boxes`."""
        return self.model.config.MASK_HEAD

    @property
    def keypoint_names(self) -> Sequence[str]:
        """Names of the keypoints of each detection. Empty if the model has no keypoints."""
        return self.model.config.KEYPOINT_NAMES

    def detect(self, photos: Iterable[np.ndarray]) -> Iterator[Detections]:
        """Runs detection on images.

        Args:
            photos: images, uint8 RGB `[H, W, 3]` of any size. A generator is read lazily.

        Yields:
            The `Detections` of each image, in order of decreasing score. An image that cannot be used yields a result
            without detections and with the key "error".
        """
        if self.tiles is None and self.augmented is None:
            results = self._detect_stream(photos, on_error="skip")
        else:
            results = map(self._detect_one, photos)
        return map(self._filter, results)

    def _detect_stream(self, photos: Iterable[np.ndarray], **options: Any) -> Iterable[Detections]:
        source = self.model.config.PROPOSALS
        if source == "rpn":
            return self.model.detect_stream(photos, **options)
        photos, copies = tee(photos)
        proposals = (find_proposals(photo, source, self.cache) for photo in copies)
        return self.model.detect_stream(photos, proposals=proposals, **options)

    def _detect_one(self, photo: np.ndarray) -> Detections:
        try:
            return self._detect_views(photo)
        except (UserError, OSError) as error:  # like `MaskRCNN.detect_stream` with on_error="skip"
            return Detections.failed(error)

    def _detect_views(self, photo: np.ndarray) -> Detections:
        from mrcnn.inference.test_time_augmentation import detect_augmented
        from mrcnn.inference.tiles import detect_tiled

        def detect(views: Iterable[np.ndarray]) -> Iterable[Detections]:
            if self.augmented is None:
                return self._detect_stream(views)
            flip = self.model.config.KEYPOINT_FLIP
            return (detect_augmented(self.augmented, view, flip) for view in views)

        if self.tiles is None:
            return next(iter(detect([photo])))
        side = int(self.model.config.IMAGE_MAX_DIM)
        return detect_tiled(detect, photo, self.tiles, side, self.tile_overlap)

    def _filter(self, result: Detections) -> Detections:
        rows = np.flatnonzero(np.isin(result.class_ids, self.class_ids) & (result.scores >= self.min_confidence))
        chosen = result[rows[np.argsort(-result.scores[rows], kind="stable")][: self.max_detections]]
        chosen.class_names, chosen.keypoint_names = self.class_names, list(self.keypoint_names) or None
        return chosen


def load_detector(
    path: Path,
    config_file: Path | None = None,
    *,
    min_confidence: float | None = None,
    classes: Sequence[str] | None = None,
    max_detections: int | None = None,
    tiles: int | str | None = None,
    tile_overlap: float = 0.2,
    tta: bool = False,
    batch: int = 1,
    device: str | None = None,
    precision: str = "auto",
    threshold_factor: float = 1.0,
) -> Detector:
    """Loads weights and builds their detector.

    Args:
        path: weights file.
        config_file: settings file; see `read_settings`.
        min_confidence: score threshold, 0 to 1, or None for the value in the Config.
        classes, max_detections, tiles, tile_overlap: see `Detector`.
        tta: whether to use test-time augmentation.
        batch: batch size.
        device, precision: see `load_keras_model`.
        threshold_factor: factor of the score threshold, below 1 for callers that use detections with lower scores.

    Raises:
        ValueError: if an option is out of range, or the weights cannot be used.
    """
    if min_confidence is not None and not 0 <= min_confidence <= 1:
        raise UserError(f"--min-confidence: expected a number from 0 to 1, got {min_confidence:g}.")
    if max_detections is not None and max_detections < 1:
        raise UserError(f"--max-detections: expected 1 or more, got {max_detections}.")
    if batch < 1:
        raise UserError(f"--batch: expected 1 or more, got {batch}.")
    config, class_names = read_settings(path, config_file)
    check_proposals(config.PROPOSALS)
    if min_confidence is None:
        min_confidence = float(config.DETECTION_MIN_CONFIDENCE or 0)
    min_confidence *= threshold_factor
    config = config.copy(
        GPU_COUNT=1,
        IMAGES_PER_GPU=batch,
        DETECTION_ANY_FOREGROUND=True,  # also keeps classes that score below the background
        DETECTION_MIN_CONFIDENCE=min(min_confidence, TTA_CONFIDENCE) if tta else min_confidence,
        DETECTION_MAX_INSTANCES=max(config.DETECTION_MAX_INSTANCES, max_detections or 0),
    )
    if is_export(path):
        with quiet_stderr():  # LiteRT prints the names of its kernels
            model = ExportedModel(path, min_confidence, batch)
        _check_exported(model, path, config, tta, device)
    else:
        model = load_keras_model(path, config, device, precision)
    augmented = None
    if tta:
        from mrcnn.inference.test_time_augmentation import scaled_detectors

        augmented = scaled_detectors(model)
    return Detector(
        model,
        class_names,
        tiles=tiles,
        tile_overlap=tile_overlap,
        augmented=augmented,
        min_confidence=min_confidence,
        classes=classes,
        max_detections=max_detections,
        path=path,
    )


def _check_exported(model: ExportedModel, path: Path, config: Any, tta: bool, device: str | None) -> None:
    """Raises ValueError for options that an exported model does not support."""
    if tta:
        raise UserError(
            f"--tta: {path} is an exported model with a fixed image size. Use the weights that it was exported from."
        )
    if device not in (None, "cpu"):
        raise UserError(f"--device: exported models run on the CPU, got {device}.")
    if (most := model.config.DETECTION_MAX_INSTANCES) != config.DETECTION_MAX_INSTANCES:
        raise UserError(f"--max-detections: {path} was exported for at most {most} detections.")
