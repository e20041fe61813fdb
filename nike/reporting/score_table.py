"""The metrics of `nike.reporting.scores` as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nike.formatting import align_columns, plural, printable
from nike.reporting.scores import IOU

MAX_LISTED = 5  # maximum number of listed images with errors
COCO_METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100")


def summary_lines(scores: dict[str, Any]) -> Iterator[str]:
    """Yields the lines of the report."""
    counts = scores["counts"]
    yield f"weights   {printable(scores['weights'])}"
    yield (
        f"dataset   {printable(scores['dataset'])}, {scores['split']}: {plural(counts['photos'], 'image')} "
        f"({plural(counts['negatives'], 'negative')}), {plural(counts['instances'], 'instance')}, "
        f"{counts['ignored']} ignored"
    )
    for rows in (coco_rows(scores), voc_rows(scores)):
        yield ""
        yield from align_columns(rows)
    yield ""
    yield from _at_threshold(scores)
    yield ""
    yield "Confusion matrix (rows: true class, columns: detected class)"
    yield from align_columns(confusion_rows(scores))
    worst = [photo for photo in scores["photos"][:MAX_LISTED] if photo["error_score"] > 0]
    if worst:
        yield ""
        yield "Images with the most errors"
        yield from (f"  {printable(photo['file'])}: {describe_photo(photo)}" for photo in worst)


def coco_rows(scores: dict[str, Any]) -> list[list[str]]:
    """Returns the COCO metrics of masks, boundaries and boxes as rows, with a header."""
    kinds = [kind for kind in ("mask", "boundary", "box", "keypoints") if kind in scores]
    return [
        ["", *COCO_METRICS],
        *([kind, *(format_metric(scores[kind][name]) for name in COCO_METRICS)] for kind in kinds),
    ]


def voc_rows(scores: dict[str, Any]) -> list[list[str]]:
    """Returns VOC AP and the best threshold by IoU type and class as rows, with a header."""
    rows = [[f"IoU {IOU:g}", "VOC 11-point", "all-point", "best F1", "at score", "precision", "recall"]]
    for kind, classes in scores["voc"].items():
        for name, figures in classes.items():
            best = figures["best_f1"]
            cells = [figures["ap_11_point"], figures["ap_all_points"]]
            cells += [best[key] for key in ("f1", "threshold", "precision", "recall")]
            rows.append([f"{kind}, {printable(name)}", *map(format_metric, cells)])
    return rows


def confusion_rows(scores: dict[str, Any]) -> list[list[str]]:
    """Returns the confusion matrix with headers. Rows are true classes, columns are detected classes."""
    names = ["background", *map(printable, scores["classes"][1:])]
    counts = [list(map(str, row)) for row in scores["at_threshold"]["confusion"]]
    counts[0][0] = "-"  # background without a detection is not counted
    return [["", *names], *([name, *row] for name, row in zip(names, counts, strict=True))]


def _at_threshold(scores: dict[str, Any]) -> Iterator[str]:
    at_threshold = scores["at_threshold"]
    negatives = at_threshold["negative_images"]
    yield (
        f"At score {scores['threshold']:g} and {scores['kind']} IoU {IOU:g}: {at_threshold['true']} true, "
        f"{at_threshold['false']} false ({plural(at_threshold['duplicates'], 'duplicate')}), "
        f"{at_threshold['missed']} missed; precision {format_metric(at_threshold['precision'])}, "
        f"recall {format_metric(at_threshold['recall'])}"
    )
    if at_threshold["true"]:
        median = f"median {scores['kind']} IoU {format_metric(at_threshold['median_iou'])}"
        yield f"True positives: {median}, {at_threshold['accurate']:.0%} with IoU 0.9 or more"
    if negatives["images"]:
        low, high = negatives["interval_95"]
        yield (
            f"False positives on {negatives['images_with_detections']} of "
            f"{plural(negatives['images'], 'negative image')} (95% interval {low:.0%} to {high:.0%}), "
            f"{negatives['per_image']:.2f} per image"
        )
    for point in scores["operating_points"]:
        if point["threshold"] < 0:
            yield f"Precision {point['precision']:g}: not reached at any score"
        else:
            recall = format_metric(point["recall"])
            yield f"Precision {point['precision']:g}: recall {recall} at score {point['threshold']:.3f}"


def describe_photo(photo: dict[str, Any]) -> str:
    """Describes the errors in an image, such as `1 missed, 2 false (1 duplicate), IoU 0.61`."""
    duplicates = f" ({plural(photo['duplicates'], 'duplicate')})" if photo["duplicates"] else ""
    parts = [f"{photo['missed']} missed"] if photo["missed"] else []
    parts += [f"{photo['false']} false{duplicates}"] if photo["false"] else []
    parts += ["IoU " + ", ".join(f"{iou:.2f}" for iou in photo["ious"])] if photo["ious"] else []
    return ", ".join(parts) or "no errors"


def format_metric(value: float) -> str:
    """Formats a metric with three decimals, or a dash if it is undefined."""
    return "-" if value < 0 else f"{value:.3f}"
