"""Pictures of evaluated images for HTML pages: ground truth and detections, colored by outcome."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import PIL.Image
from pycocotools import mask as rle_lib

from mrcnn.evaluation import ImageOutcome, ImageRecord
from mrcnn.visualization.drawing import overlay

PICTURE_SIDE = 560  # pixels of the longer side
ZOOM_BELOW = 0.6  # the image is cropped to the boxes if the crop is below this fraction of both sides
ZOOM_MARGIN = 0.6  # margin of the crop as a fraction of its longer side
MASK_OPACITY = 0.3  # low opacity, so that the outlines stay visible
CORRECT, INCORRECT, IGNORED = (
    (0, 194, 255),
    (255, 145, 0),
    (150, 150, 150),
)  # distinguishable with color vision deficiency

PHOTO_STYLE = """
.photo { margin: 0 0 1rem } .photo p { margin: 0; padding: .6rem 1rem }
.pair { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 1px; background: var(--line) }
.pair img { display: block; width: 100%; height: 440px; object-fit: contain; background: var(--paper) }
.chip { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .3em 0 1em }
"""
LEGEND = "".join(
    f'<span class="chip" style="background: rgb{color}"></span>{name}'
    for color, name in ((CORRECT, "true positive"), (INCORRECT, "false positive or missed"), (IGNORED, "ignored"))
)


def draw_outcomes(
    image: np.ndarray,
    results: Sequence[tuple[ImageRecord, ImageOutcome]],
    class_names: Sequence[str],
    titles: Sequence[str] = (),
) -> list[np.ndarray]:
    """Draws the ground truth and the detections of one or several models on an image or its region of interest.

    Args:
        image: uint8 `[H, W, 3]`.
        results: ground truth and detections of each model, with their outcome. Detections that are not in the outcome
            are not drawn. The ground truth of the first record is used.
        class_names: class names, background first.
        titles: names of the models for the captions of missed instances. Not used with a single model.

    Returns:
        The image with the ground truth, then one image with the detections of each model, uint8 `[h, w, 3]`. The longer
        side has PICTURE_SIDE pixels.
    """
    record = results[0][0]
    captions = [class_names[class_id] for class_id in record.gt_class_ids]
    colors = [CORRECT] * len(captions)
    for i in range(len(captions)):
        missed = [number for number, (_, outcome) in enumerate(results) if i in outcome.false_negatives]
        if missed:
            by = f" by {' and '.join(titles[number] for number in missed)}" if len(results) > 1 else ""
            captions[i], colors[i] = f"{captions[i]} missed{by}", INCORRECT
    for i in np.flatnonzero(record.gt_crowd):
        captions[i], colors[i] = "ignored", IGNORED

    captioned = [_caption_detections(*result) for result in results]
    boxes = [result.boxes[list(rows)] for (result, _), rows in zip(results, captioned, strict=True)]
    view = _CroppedView(image, region_of_interest(np.concatenate([record.gt_boxes, *boxes]), image.shape))
    pictures = [view.draw(record.gt_rles, captions, colors)]
    for (result, _), rows in zip(results, captioned, strict=True):
        pictures.append(view.draw([result.rles[row] for row in rows], *zip(*rows.values(), strict=True)))
    return pictures


def _caption_detections(record: ImageRecord, outcome: ImageOutcome) -> dict[int, tuple[str, tuple[int, int, int]]]:
    """Returns (caption, color) of each detection by its row in the record, in ascending order."""
    captions = {row: (f"{record.scores[row]:.2f}, IoU {iou:.2f}", CORRECT) for row, _, iou in outcome.true_positives}
    for row in outcome.false_positives:
        reason = "duplicate" if row in outcome.duplicates else "false"
        captions[row] = (f"{record.scores[row]:.2f} {reason}", INCORRECT)
    captions |= {row: (f"{record.scores[row]:.2f} ignored", IGNORED) for row in outcome.ignored}
    return dict(sorted(captions.items()))


def region_of_interest(boxes: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Returns the region (y1, x1, y2, x2) around all boxes `[N, 4]`, or the whole image if the region is large."""
    height, width = shape[:2]
    if not len(boxes):
        return 0, 0, height, width
    corner, end = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    margin = ZOOM_MARGIN * max(*(end - corner), 32)
    y1, x1 = np.maximum(np.floor(corner - margin), 0).astype(int).tolist()
    y2, x2 = np.minimum(np.ceil(end + margin), (height, width)).astype(int).tolist()
    is_small = y2 - y1 < ZOOM_BELOW * height and x2 - x1 < ZOOM_BELOW * width
    return (y1, x1, y2, x2) if is_small else (0, 0, height, width)


class _CroppedView:
    """A region of a photo, resized for the page."""

    def __init__(self, image: np.ndarray, region: tuple[int, int, int, int]):
        y1, x1, y2, x2 = region
        scale = PICTURE_SIDE / max(y2 - y1, x2 - x1)
        self.region = region
        self.size = max(round((x2 - x1) * scale), 1), max(round((y2 - y1) * scale), 1)
        self.image = self._scale(image, PIL.Image.Resampling.BICUBIC)

    def _scale(self, array: np.ndarray, resampling: PIL.Image.Resampling) -> np.ndarray:
        y1, x1, y2, x2 = self.region
        return np.asarray(PIL.Image.fromarray(array[y1:y2, x1:x2]).resize(self.size, resampling))

    def draw(self, rles: list[dict], captions=(), colors=()) -> np.ndarray:
        """Draws run-length encoded masks of the whole photo on the view."""
        masks = [self._scale(rle_lib.decode(rle) * np.uint8(255), PIL.Image.Resampling.BILINEAR) > 127 for rle in rles]
        if not masks:
            return self.image
        result = {"class_ids": np.ones(len(masks), dtype=int), "masks": np.stack(masks, axis=-1)}
        return overlay(self.image, result, [], alpha=MASK_OPACITY, colors=colors, captions=captions)
