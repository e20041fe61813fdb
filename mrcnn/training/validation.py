"""Validation during training: COCO AP of boxes and masks, computed with the current weights."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext

import keras
import numpy as np

from mrcnn.data.dataset_errors import convert_errors
from mrcnn.data.training_examples import load_instances, load_proposals
from mrcnn.detections import Detections
from mrcnn.errors import UserError
from mrcnn.evaluation import CocoEvaluator, best_f1, rank_detections, threshold_below
from mrcnn.evaluation.records import KINDS, ImageRecord, encode_masks, kinds_of
from mrcnn.inference.predictor import Predictor
from mrcnn.inference.streams import detect_stream
from mrcnn.visualization.drawing import overlay

MIN_CONFIDENCE = 0.05  # low, because AP also depends on detections with low scores
METRICS = ("AP", "AP50", "AP75")
MAX_PICTURES = 4
VALIDATION_PHOTOS = 500  # default maximum; evaluating 5,000 images would take longer than an epoch
SUBSET_SEED = 0  # fixed, so that the AP of different runs can be compared


class Validator:
    """Computes the COCO metrics of a model on a dataset.

    Args:
        model: MaskRCNN; its current weights are evaluated.
        dataset: prepared Dataset.
        photos: maximum number of images, chosen as a fixed random subset in dataset order; 0: all.
        batch_size: number of images per batch.

    Attributes:
        strict: whether an image that cannot be read raises an error.
        unreadable: error messages by image id.
        pictures: list of (name, uint8 `[H, W, 3]` overlay) of the first images that have objects.
    """

    def __init__(self, model, dataset, photos: int = 0, batch_size: int = 1):
        config = model.config.copy(DETECTION_MIN_CONFIDENCE=MIN_CONFIDENCE, DETECTION_ANY_FOREGROUND=True)
        self.predictor = Predictor(model.builder.inference(config), config)
        self.dataset, self.limit, self.batch_size = dataset, photos, batch_size
        count = len(dataset.image_ids)
        chosen = np.random.default_rng(SUBSET_SEED).choice(count, min(photos or count, count), replace=False)
        self.image_ids = [int(dataset.image_ids[index]) for index in np.sort(chosen)]
        self.confidence = model.config.DETECTION_MIN_CONFIDENCE or 0.5
        self.strict = False
        self.unreadable: dict[int, str] = {}
        self.pictures: list[tuple[str, np.ndarray]] = []
        self._truth: dict[int, tuple] = {}  # ground truth by image id, run-length encoded; a few kilobytes per image

    def __call__(self) -> dict:
        """Returns the metrics of `CocoEvaluator.summarize`, and the `operating_point` if there is a true positive."""
        evaluator = CocoEvaluator(self.dataset.class_names)
        shown: list[tuple[int, np.ndarray]] = []
        self.pictures.clear()
        for result in detect_stream(self._read_images(shown), self.predictor, self.batch_size, skip_errors=True):
            image_id, photo = shown.pop(0)
            if "error" in result:
                self.unreadable[image_id] = result["error"]
                continue
            class_ids, masks, shape, points = self._truth[image_id]
            evaluator.add(image_id, class_ids, masks, result, shape, points)
            if len(self.pictures) < MAX_PICTURES and any(class_ids > 0):
                self.pictures.append((f"{len(self.pictures) + 1}", self._draw_detections(photo, result)))
        return evaluator.summarize() | operating_point(evaluator.records)

    def _draw_detections(self, photo: np.ndarray, result: Detections) -> np.ndarray:
        return overlay(photo, result[result.scores >= self.confidence], self.dataset.class_names)

    def _read_images(self, shown: list[tuple[int, np.ndarray]]):
        """Yields the images in order. Before an image is yielded, it is appended to `shown` with its id."""
        config = self.predictor.config
        for image_id in self.image_ids:
            if image_id in self.unreadable:
                continue
            try:
                where = f"image {image_id} ({self.dataset.image_info[image_id].get('id')})"
                with convert_errors(f"{where}, load_image()"):
                    photo = self.dataset.load_image(image_id)
                item = photo if config.has_rpn else (photo, load_proposals(self.dataset, config, image_id, where))
                if image_id not in self._truth:
                    masks, class_ids, points = load_instances(self.dataset, config, image_id, photo.shape, where)
                    self._truth[image_id] = class_ids, encode_masks(masks), photo.shape[:2], points
            except (UserError, OSError) as error:
                if self.strict:
                    raise
                self.unreadable[image_id] = str(error)
                continue
            shown.append((image_id, photo))
            yield item


def operating_point(records: Sequence[ImageRecord]) -> dict[str, float]:
    """Returns a dict with the score `threshold` that maximizes F1 at an IoU of 0.5, and the `F1`.

    Detections are matched by mask IoU, or by box IoU if there are no masks. The dict is empty if there is no true
    positive. The threshold is at least MIN_CONFIDENCE, because detections with lower scores are not available.
    """
    ranking = rank_detections(records, kinds_of(records)[0])
    best = best_f1(ranking)
    if not best["f1"]:
        return {}
    return {"threshold": max(threshold_below(ranking, best["threshold"]), MIN_CONFIDENCE), "F1": best["f1"]}


class Validation(keras.callbacks.Callback):
    """Validates every `every` epochs and after the last epoch.

    Adds `val_mask_AP`, `val_threshold`, ... to the logs.
    """

    def __init__(self, validator: Validator, every: int, last_epoch: int, verbose: bool = True):
        super().__init__()
        self.validator, self.every, self.last_epoch, self.verbose = validator, every, last_epoch, verbose

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every and epoch + 1 != self.last_epoch:
            return
        started = time.perf_counter()
        average = self.model.average
        with average.swap_in() if average else nullcontext():
            summary = self.validator()
        kinds = [kind for kind in (*KINDS, "keypoints") if kind in summary]
        for kind in kinds:
            logs |= {f"val_{kind}_{name}": summary[kind][name] for name in METRICS}
        logs |= {f"val_{name}": summary[name] for name in ("threshold", "F1") if name in summary}
        logs["validation_seconds"] = time.perf_counter() - started
        if self.verbose:
            figures = ", ".join(
                f"{kind} AP {summary[kind]['AP']:.3f} (AP50 {summary[kind]['AP50']:.3f})" for kind in kinds
            )
            images = f"{summary['images']} image{'' if summary['images'] == 1 else 's'}"
            print(f"Validation on {images}: {figures}; {logs['validation_seconds']:.0f} s")
