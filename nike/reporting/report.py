"""The HTML page of `nike evaluate`: metrics, curves and the images with the most errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from mrcnn.evaluation import CocoEvaluator, evaluate_image
from nike.datasets.nike_dataset import NikeDataset
from nike.formatting import plural
from nike.reporting import charts
from nike.reporting.charts import Series, bar_chart, line_chart
from nike.reporting.page import picture, table, text, write_page
from nike.reporting.pictures import LEGEND, PHOTO_STYLE, draw_outcomes
from nike.reporting.score_table import coco_rows, confusion_rows, describe_photo, format_metric, voc_rows
from nike.reporting.scores import IOU

STYLE = """
.cards { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.25rem 0 }
.card { flex: 1 1 150px; padding: .8rem 1rem }
.card b { display: block; font-size: 1.6rem; line-height: 1.2 }
"""


def write_report(
    path: str | os.PathLike, scores: dict[str, Any], evaluator: CocoEvaluator, dataset: NikeDataset, worst: int
) -> None:
    """Writes the page.

    Args:
        path: path of the HTML file.
        scores: dict returned by `nike.reporting.scores.score`, with "weights", "dataset" and "split" added.
        evaluator: evaluator from which the scores were computed.
        dataset: dataset with the images.
        worst: maximum number of images with errors to show.
    """
    counts = scores["counts"]
    where = f"{scores['weights']} on {scores['dataset']} ({scores['split']})"
    images = f"{plural(counts['photos'], 'image')} ({plural(counts['negatives'], 'negative')})"
    instances = f"{plural(counts['instances'], 'instance')}, {counts['ignored']} ignored"
    body = [
        f'<p class="soft wide">{text(where)}: {text(images)}, {text(instances)}.</p>',
        _summary_cards(scores),
        f'<h2>Curves</h2><div class="charts">{"".join(_charts(scores))}</div>',
        '<h2>COCO</h2><p class="soft">AP: mean over IoU 0.50 to 0.95. s, m, l: small (area under 32² pixels), medium '
        "(under 96²) and large instances. AR: recall with 1, 10, 100 detections per image. boundary: uses the smaller "
        "of the mask IoU and the IoU of the mask boundaries, whose width is 1% of the image diagonal.</p>"
        + table(coco_rows(scores)),
        '<div class="tables">'
        f"<div><h2>VOC AP and best F1</h2>{table(voc_rows(scores))}</div>"
        f"<div><h2>Confusion matrix at score {scores['threshold']:g}</h2>{table(confusion_rows(scores))}"
        '<p class="soft">Rows: true class. Columns: detected class.</p></div></div>',
        *_worst_photos(scores, evaluator, dataset, worst),
    ]
    write_page(path, "Evaluation", charts.STYLE + STYLE + PHOTO_STYLE, "\n".join(body))


def _summary_cards(scores: dict[str, Any]) -> str:
    at_threshold = scores["at_threshold"]
    negatives = at_threshold["negative_images"]
    cards = [
        (format_metric(scores[scores["kind"]]["AP"]), f"{scores['kind']} AP"),
        (format_metric(scores[scores["kind"]]["AP50"]), f"{scores['kind']} AP at IoU 0.50"),
        *([(format_metric(scores["box"]["AP"]), "box AP")] if scores["kind"] == "mask" else []),
        (
            f"{at_threshold['true']} of {at_threshold['true'] + at_threshold['missed']}",
            f"instances detected at score {scores['threshold']:g}",
        ),
        (f"{at_threshold['false']}", f"false positives ({plural(at_threshold['duplicates'], 'duplicate')})"),
        (f"{negatives['images_with_detections']} of {negatives['images']}", "negative images with a false positive"),
    ]
    inside = "".join(
        f'<div class="card framed"><b>{number}</b><span class="soft">{name}</span></div>' for number, name in cards
    )
    return f'<div class="cards">{inside}</div>'


def _charts(scores: dict[str, Any]) -> Iterator[str]:
    curves = [
        Series(f"{kind}, IoU {iou}", curve["envelope"], color, curve["recall"], dashed=kind == "box")
        for kind, of_kind in scores["curves"].items()
        for (iou, curve), color in zip(of_kind.items(), ("c0", "c1"), strict=True)
    ]
    yield line_chart("Precision and recall", curves, "recall", "precision")

    f1 = scores["f1"]
    names = {"f1": "F1", "precision": "precision", "recall": "recall"}
    lines = [Series(name, f1[key], f"c{i}", f1["threshold"]) for i, (key, name) in enumerate(names.items())]
    best = int(np.argmax(f1["f1"])) if f1["f1"] else None
    dots = [] if best is None else [(f1["threshold"][best], f1["f1"][best], f"best F1 {f1['f1'][best]:.3f}")]
    objects = "masks" if scores["kind"] == "mask" else "boxes"
    title = f"By score threshold, {objects}" + ("" if best is None else f": best F1 at {f1['threshold'][best]:.2f}")
    yield line_chart(title, lines, "score threshold", "", dots, [(scores["threshold"], "threshold of this report")])

    histograms = scores["histograms"]
    yield bar_chart(
        f"{scores['kind'].capitalize()} IoU of true positives",
        histograms["edges"],
        [Series("true detections", histograms["iou"], "c0")],
        f"{scores['kind']} IoU",
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
    with_errors = [photo for photo in scores["photos"] if photo["error_score"] > 0]
    if not with_errors:
        yield "<h2>No errors in any image.</h2>"
        return
    shown = f"{count} of {len(with_errors)}" if len(with_errors) > count else f"all {len(with_errors)}"
    yield f"<h2>Images with the most errors ({shown})</h2>"
    yield f'<p class="soft">Left: ground truth. Right: detections.{LEGEND}</p>'
    records = {record.image_id: record for record in evaluator.records}
    numbers = {dataset.image_info[i]["id"]: i for i in dataset.image_ids}
    for photo in with_errors[:count]:
        record = records[photo["file"]]
        outcome = evaluate_image(record, scores["kind"], IOU, scores["threshold"])
        image = dataset.load_image(numbers[photo["file"]])
        truth, found = draw_outcomes(image, [(record, outcome)], evaluator.class_names)
        pictures = picture(truth, f"ground truth of {photo['file']}") + picture(found, f"detections in {photo['file']}")
        caption = f"<p><b>{text(photo['file'])}</b> {describe_photo(photo)}</p>"
        yield f'<div class="photo framed"><div class="pair">{pictures}</div>{caption}</div>'
