"""The HTML page of `nike compare`: metrics of both weights files, and the images on which they differ most."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from mrcnn.evaluation import CocoEvaluator, evaluate_image
from nike.datasets.nike_dataset import NikeDataset
from nike.formatting import plural
from nike.reporting.comparison import (
    NAMES,
    describe_change,
    images_text,
    interval_text,
    metric_rows,
    worst_and_best,
)
from nike.reporting.page import picture, table, text, write_page
from nike.reporting.pictures import LEGEND, PHOTO_STYLE, draw_outcomes
from nike.reporting.scores import IOU

STYLE = """
.names { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; padding: .4rem 1rem; gap: 1rem }
.pair img { height: 360px }
table { margin-bottom: 1rem }
"""


def write_comparison(
    path: str | os.PathLike,
    comparison: dict[str, Any],
    evaluators: Sequence[CocoEvaluator],
    dataset: NikeDataset,
    count: int,
) -> None:
    """Writes the page.

    Args:
        path: path of the HTML file.
        comparison: dict returned by `nike.reporting.comparison.compare`, with "weights", "dataset" and "split" added.
        evaluators: evaluators of A and B.
        dataset: dataset with the images.
        count: maximum number of images to show in each section.
    """
    counts = comparison["counts"]
    where = f"{comparison['dataset']} ({comparison['split']}): {plural(counts['photos'], 'image')}, "
    named = "".join(f"<br>{name}: {text(value)}" for name, value in zip(NAMES, comparison["weights"], strict=True))
    summary = f"At score {comparison['threshold']:g} and {comparison['kind']} IoU {IOU:g}: {images_text(comparison)}."
    body = [
        f'<p class="soft wide">{text(where + plural(counts["instances"], "instance"))}.{named}</p>',
        table(metric_rows(comparison)),
        f'<p class="soft">{text(interval_text(comparison))}.<br>{text(summary)}</p>',
        *_changed_photos(comparison, evaluators, dataset, count),
    ]
    write_page(path, "Comparison", PHOTO_STYLE + STYLE, "\n".join(body))


def _changed_photos(
    comparison: dict[str, Any], evaluators: Sequence[CocoEvaluator], dataset: NikeDataset, count: int
) -> Iterator[str]:
    parts = worst_and_best(comparison, count)
    if not parts:
        yield "<h2>No differences in any image.</h2>"
        return
    yield f'<p class="soft">Left to right: ground truth, A, B.{LEGEND}</p>'
    records = [{record.image_id: record for record in evaluator.records} for evaluator in evaluators]
    numbers = {dataset.image_info[i]["id"]: i for i in dataset.image_ids}
    names = "".join(f"<span>{name}</span>" for name in ("ground truth", *NAMES))
    for heading, photos in parts:
        yield f"<h2>{text(heading)}</h2>"
        for photo in photos:
            file = photo["file"]
            pair = [each[file] for each in records]
            kind, threshold = comparison["kind"], comparison["threshold"]
            results = [(record, evaluate_image(record, kind, IOU, threshold)) for record in pair]
            shown = draw_outcomes(dataset.load_image(numbers[file]), results, comparison["classes"], NAMES)
            alts = (f"ground truth of {file}", *(f"detections of {name} in {file}" for name in NAMES))
            pictures = "".join(picture(*one) for one in zip(shown, alts, strict=True))
            caption = f"<p><b>{text(file)}</b> {text(describe_change(photo))}</p>"
            yield (
                f'<div class="photo framed"><div class="names soft">{names}</div><div class="pair">{pictures}</div>'
                f"{caption}</div>"
            )
