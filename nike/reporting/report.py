"""The HTML page of `nike evaluate`: metrics, curves and the images with the most errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import PIL.Image
from pycocotools import mask as rle_lib

from mrcnn.evaluation import CocoEvaluator, ImageOutcome, ImageRecord, evaluate_image
from mrcnn.visualization.drawing import overlay
from nike.datasets.nike_dataset import NikeDataset
from nike.reporting import charts
from nike.reporting.charts import Series, bar_chart, line_chart
from nike.reporting.page import picture, table, text, write_page
from nike.reporting.score_table import coco_rows, confusion_rows, describe_photo, figure, voc_rows
from nike.reporting.scores import IOU
from nike.text import plural

PICTURE_SIDE = 560  # pixels of the longer side
ZOOM_BELOW = 0.6  # crop to the boxes if they extend over less than this fraction of both sides
ZOOM_MARGIN = 0.6  # margin of the crop as a fraction of its longer side
TINT = 0.3  # low opacity, so that the outline stays visible
RIGHT, WRONG, IGNORED = (0, 194, 255), (255, 145, 0), (150, 150, 150)  # distinguishable when color-blind

STYLE = """
.cards { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.25rem 0 }
.card { flex: 1 1 150px; padding: .8rem 1rem }
.card b { display: block; font-size: 1.6rem; line-height: 1.2 }
.photo { margin: 0 0 1rem } .photo p { margin: 0; padding: .6rem 1rem }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1px; background: var(--line) }
.pair img { display: block; width: 100%; height: 440px; object-fit: contain; background: var(--paper) }
.chip { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .3em 0 1em }
"""


def write_report(
    path: str | os.PathLike, scores: dict[str, Any], evaluator: CocoEvaluator, dataset: NikeDataset, worst: int
) -> None:
    """Writes the page.

    Args:
        path: path of the HTML file.
        scores: dict returned by `nike.reporting.scores.score`, with "weights", "dataset" and "split" added.
        evaluator: `CocoEvaluator` from which the scores were computed.
        dataset: `NikeDataset` with the photos.
        worst: int, maximum number of photos to show.
    """
    counts = scores["counts"]
    where = f"{scores['weights']} on {scores['dataset']} ({scores['split']})"
    images = f"{plural(counts['photos'], 'image')} ({plural(counts['negatives'], 'negative')})"
    instances = f"{plural(counts['instances'], 'instance')}, {counts['ignored']} ignored"
    body = [
        f'<p class="soft wide">{text(where)}: {text(images)}, {text(instances)}.</p>',
        _key_figures(scores),
        f'<h2>Curves</h2><div class="charts">{"".join(_charts(scores))}</div>',
        '<h2>COCO</h2><p class="soft">AP: mean over IoU 0.50 to 0.95. s, m, l: small (area under 32² pixels), medium '
        "(under 96²) and large instances. AR: recall with 1, 10, 100 detections per image.</p>"
        + table(coco_rows(scores)),
        '<div class="tables">'
        f"<div><h2>VOC AP and best F1</h2>{table(voc_rows(scores))}</div>"
        f"<div><h2>Confusion matrix at score {scores['threshold']:g}</h2>{table(confusion_rows(scores))}"
        '<p class="soft">Rows: true class. Columns: detected class.</p></div></div>',
        *_worst_photos(scores, evaluator, dataset, worst),
    ]
    write_page(path, "Evaluation", charts.STYLE + STYLE, "\n".join(body))


def _key_figures(scores: dict[str, Any]) -> str:
    at = scores["at_threshold"]
    negatives = at["negative_images"]
    cards = [
        (figure(scores["mask"]["AP"]), "mask AP"),
        (figure(scores["mask"]["AP50"]), "mask AP at IoU 0.50"),
        (figure(scores["box"]["AP"]), "box AP"),
        (f"{at['true']} of {at['true'] + at['missed']}", f"instances detected at score {scores['threshold']:g}"),
        (f"{at['false']}", f"false positives ({plural(at['duplicates'], 'duplicate')})"),
        (f"{negatives['images_with_detections']} of {negatives['images']}", "negative images with a false positive"),
    ]
    inside = "".join(
        f'<div class="card framed"><b>{number}</b><span class="soft">{name}</span></div>' for number, name in cards
    )
    return f'<div class="cards">{inside}</div>'


def _charts(scores: dict[str, Any]) -> Iterator[str]:
    curves = [
        Series(f"{kind}, IoU {iou}", curve["envelope"], color, curve["recall"], dashed=kind == "box")
        for kind, colors in (("mask", ("c0", "c1")), ("box", ("c0", "c1")))
        for (iou, curve), color in zip(scores["curves"][kind].items(), colors, strict=True)
    ]
    yield line_chart("Precision and recall", curves, "recall", "precision")

    f1 = scores["f1"]
    names = {"f1": "F1", "precision": "precision", "recall": "recall"}
    lines = [Series(name, f1[key], f"c{i}", f1["threshold"]) for i, (key, name) in enumerate(names.items())]
    best = int(np.argmax(f1["f1"])) if f1["f1"] else None
    dots = [] if best is None else [(f1["threshold"][best], f1["f1"][best], f"best F1 {f1['f1'][best]:.3f}")]
    title = "By score threshold, masks" + ("" if best is None else f": best F1 at {f1['threshold'][best]:.2f}")
    yield line_chart(title, lines, "score threshold", "", dots, [(scores["threshold"], "threshold of this report")])

    histograms = scores["histograms"]
    yield bar_chart(
        "Mask IoU of true positives",
        histograms["edges"],
        [Series("true detections", histograms["iou"], "c0")],
        "mask IoU",
        "detections",
    )
    yield bar_chart(
        "Score distribution",
        histograms["edges"],
        [Series("true", histograms["score_true"], "c0"), Series("false", histograms["score_false"], "c1")],
        "score",
        "detections",
    )


# --- photos ---


def _worst_photos(scores: dict[str, Any], evaluator: CocoEvaluator, dataset: NikeDataset, count: int) -> Iterator[str]:
    bad = [photo for photo in scores["photos"] if photo["error_score"] > 0]
    if not bad:
        yield "<h2>No errors in any image.</h2>"
        return
    shown = f"{count} of {len(bad)}" if len(bad) > count else f"all {len(bad)}"
    chips = "".join(
        f'<span class="chip" style="background: rgb{color}"></span>{name}'
        for color, name in ((RIGHT, "true positive"), (WRONG, "false positive or missed"), (IGNORED, "ignored"))
    )
    yield f"<h2>Images with the most errors ({shown})</h2>"
    yield f'<p class="soft">Left: ground truth. Right: detections.{chips}</p>'
    records = {record.image_id: record for record in evaluator.records}
    numbers = {dataset.image_info[i]["id"]: i for i in dataset.image_ids}
    for photo in bad[:count]:
        record = records[photo["file"]]
        outcome = evaluate_image(record, "mask", IOU, scores["threshold"])
        image = dataset.load_image(numbers[photo["file"]])
        truth, found = draw_pair(image, record, outcome, evaluator.class_names)
        pictures = picture(truth, f"ground truth of {photo['file']}") + picture(found, f"detections in {photo['file']}")
        caption = f"<p><b>{text(photo['file'])}</b> {describe_photo(photo)}</p>"
        yield f'<div class="photo framed"><div class="pair">{pictures}</div>{caption}</div>'


def draw_pair(
    image: np.ndarray, record: ImageRecord, outcome: ImageOutcome, class_names: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the ground truth and the detections of an image, or of its region of interest.

    Args:
        image: uint8 `[H, W, 3]`.
        record: `ImageRecord`, ground truth and detections.
        outcome: `ImageOutcome`. Detections that are not in it are not drawn.
        class_names: list of class names, background first.

    Returns:
        Two images, uint8 `[h, w, 3]`, whose longer side has PICTURE_SIDE pixels.
    """
    names = [class_names[class_id] for class_id in record.gt_class_ids]
    captions, colors = list(names), [RIGHT] * len(names)
    for i in outcome.false_negatives:
        captions[i], colors[i] = f"{names[i]} missed", WRONG
    for i in np.flatnonzero(record.gt_crowd):
        captions[i], colors[i] = "ignored", IGNORED

    verdicts = {row: (f"{record.scores[row]:.2f}, IoU {iou:.2f}", RIGHT) for row, _, iou in outcome.true_positives}
    for row in outcome.false_positives:
        why = "duplicate" if row in outcome.duplicates else "false"
        verdicts[row] = (f"{record.scores[row]:.2f} {why}", WRONG)
    verdicts |= {row: (f"{record.scores[row]:.2f} ignored", IGNORED) for row in outcome.ignored}

    rows = sorted(verdicts)
    region = region_of_interest(np.concatenate([record.gt_boxes, record.boxes[rows]]), image.shape)
    view = _View(image, region)
    truth = view.draw(record.gt_rles, captions, colors)
    detections = view.draw([record.rles[row] for row in rows], *zip(*(verdicts[row] for row in rows), strict=True))
    return truth, detections


def region_of_interest(boxes: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Returns the region (y1, x1, y2, x2) around all boxes `[N, 4]`, or the whole photo if the region is large."""
    height, width = shape[:2]
    if not len(boxes):
        return 0, 0, height, width
    corner, end = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    margin = ZOOM_MARGIN * max(*(end - corner), 32)
    y1, x1 = np.maximum(np.floor(corner - margin), 0).astype(int).tolist()
    y2, x2 = np.minimum(np.ceil(end + margin), (height, width)).astype(int).tolist()
    is_small = y2 - y1 < ZOOM_BELOW * height and x2 - x1 < ZOOM_BELOW * width
    return (y1, x1, y2, x2) if is_small else (0, 0, height, width)


class _View:
    """A region of a photo, resized for the page."""

    def __init__(self, image: np.ndarray, region: tuple[int, int, int, int]):
        y1, x1, y2, x2 = region
        scale = PICTURE_SIDE / max(y2 - y1, x2 - x1)
        self.region = region
        self.size = max(round((x2 - x1) * scale), 1), max(round((y2 - y1) * scale), 1)
        self.image = self._scale(image, PIL.Image.Resampling.BICUBIC)

    def _scale(self, array: np.ndarray, how: PIL.Image.Resampling) -> np.ndarray:
        y1, x1, y2, x2 = self.region
        return np.asarray(PIL.Image.fromarray(array[y1:y2, x1:x2]).resize(self.size, how))

    def draw(self, rles: list[dict], captions=(), colors=()) -> np.ndarray:
        """Draws run-length encoded masks of the whole photo on the view."""
        masks = [self._scale(rle_lib.decode(rle) * np.uint8(255), PIL.Image.Resampling.BILINEAR) > 127 for rle in rles]
        if not masks:
            return self.image
        result = {"class_ids": np.ones(len(masks), dtype=int), "masks": np.stack(masks, axis=-1)}
        return overlay(self.image, result, [], alpha=TINT, colors=colors, captions=captions)
