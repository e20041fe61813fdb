"""Compares two evaluations of the same images, as a JSON-serializable dict and as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mrcnn.evaluation import (
    CocoEvaluator,
    ImageOutcome,
    ImageRecord,
    ap_difference_interval,
    evaluate_image,
    kinds_of,
)
from nike.formatting import align_columns, plural, printable
from nike.reporting.score_table import format_metric
from nike.reporting.scores import IOU, photo_scores, totals

NAMES = ("A", "B")
METRICS = ("AP", "AP50", "AP75")
MIN_CHANGE = 0.01  # minimum change in the error score; images with smaller changes count as equal
MAX_LISTED = 5  # maximum number of better images and of worse images listed in the terminal


def compare(evaluators: Sequence[CocoEvaluator], threshold: float) -> dict[str, Any]:
    """Compares two evaluations.

    Args:
        evaluators: evaluators of A and B, with the same images in the same order.
        threshold: score threshold for counts and images. AP uses all detections.

    Returns:
        "kind": IoU type of the matches: "mask", or "box" if A or B has no masks;
        "metrics": [A, B] by name, -1 if undefined;
        "mask_AP_interval" ("box_AP_interval" if A or B has no masks): 95% interval of the difference in AP, see
        `ap_difference_interval`;
        "images": number of images on which B is "better", "worse" or "equal" compared with A;
        "photos": list of dicts, in order of increasing change, with "file", "change" (error score of A minus error
        score of B, negative if B is worse), "lost" and "gained" (numbers of instances that only A or only B detects),
        "false" (false positives [A, B]) and "ious" ([[A, B], ...] of the instances that both detect).
    """
    classes = len(evaluators[0].class_names)
    records = [evaluator.records for evaluator in evaluators]
    kind = kinds_of([*records[0], *records[1]])[0]
    outcomes = [[evaluate_image(record, kind, IOU, threshold) for record in each] for each in records]
    photos = sorted((_compare_photo(*pair) for pair in zip(*outcomes, strict=True)), key=lambda p: p["change"])
    changes = np.array([photo["change"] for photo in photos])
    return {
        "classes": evaluators[0].class_names,
        "threshold": threshold,
        "kind": kind,
        "counts": {"photos": len(photos), "instances": sum(_instances(record) for record in records[0])},
        "metrics": _metrics(evaluators, outcomes, kind),
        f"{kind}_AP_interval": list(ap_difference_interval(*records, classes, kind)),
        "images": {
            "better": int((changes >= MIN_CHANGE).sum()),
            "worse": int((changes <= -MIN_CHANGE).sum()),
            "equal": int((abs(changes) < MIN_CHANGE).sum()),
        },
        "photos": photos,
    }


def _instances(record: ImageRecord) -> int:
    return int((~record.gt_crowd).sum())


def _metrics(
    evaluators: Sequence[CocoEvaluator], outcomes: Sequence[Sequence[ImageOutcome]], kind: str
) -> dict[str, list[float]]:
    summaries = [evaluator.summarize() for evaluator in evaluators]
    metrics = {
        f"{each} {name}": [summary[each][name] for summary in summaries]
        for each in dict.fromkeys((kind, "box"))
        for name in METRICS
    }
    total_counts = [totals(each) for each in outcomes]
    names = {"precision": "precision", "recall": "recall", "median_iou": f"median {kind} IoU"}
    names |= {"false": "false positives", "missed": "missed instances"}
    return metrics | {shown: [one[name] for one in total_counts] for name, shown in names.items()}


def _compare_photo(a: ImageOutcome, b: ImageOutcome) -> dict[str, Any]:
    ious = [{instance: iou for _, instance, iou in outcome.true_positives} for outcome in (a, b)]
    scores = [photo_scores(outcome) for outcome in (a, b)]
    return {
        "file": a.image_id,
        "change": round(scores[0]["error_score"] - scores[1]["error_score"], 4),
        "lost": len(ious[0].keys() - ious[1].keys()),
        "gained": len(ious[1].keys() - ious[0].keys()),
        "false": [score["false"] for score in scores],
        "ious": [[round(each[i], 4) for each in ious] for i in sorted(ious[0].keys() & ious[1].keys())],
    }


# --- text ---


def worst_and_best(comparison: dict[str, Any], count: int) -> list[tuple[str, list[dict[str, Any]]]]:
    """Returns [(heading, images), ...] for images on which B is worse and better, with at most `count` images each."""
    photos, parts = comparison["photos"], []
    for name, sign in (("worse", -1), ("better", 1)):
        chosen = [photo for photo in photos[::-sign] if sign * photo["change"] >= MIN_CHANGE]
        if chosen:
            shown = f"{count} of {len(chosen)}" if len(chosen) > count else f"{len(chosen)}"
            parts.append((f"B is {name} ({shown}), largest change first", chosen[:count]))
    return parts


def describe_change(photo: dict[str, Any]) -> str:
    """Describes the differences between A and B on an image: "1 lost, false positives 0 -> 2, IoU 0.81 -> 0.74"."""
    parts = [f"{photo[name]} {name}" for name in ("lost", "gained") if photo[name]]
    before, after = photo["false"]
    parts += [f"false positives {before} -> {after}"] if before != after else []
    changed = [f"{a:.2f} -> {b:.2f}" for a, b in photo["ious"] if abs(a - b) >= MIN_CHANGE]
    parts += [f"IoU {', '.join(changed)}"] if changed else []
    return ", ".join(parts) or "equal"


def metric_rows(comparison: dict[str, Any]) -> list[list[str]]:
    """Returns the metrics of A and B and their difference as rows, with a header."""
    rows = [["", *NAMES, "B - A"]]
    for name, (a, b) in comparison["metrics"].items():
        if isinstance(a, int):
            rows.append([name, str(a), str(b), f"{b - a:+d}"])
        else:
            rows.append([name, format_metric(a), format_metric(b), "-" if min(a, b) < 0 else f"{b - a:+.3f}"])
    return rows


def interval_text(comparison: dict[str, Any]) -> str:
    """Describes the confidence interval of the difference in AP."""
    kind = comparison["kind"]
    low, high = comparison[f"{kind}_AP_interval"]
    doubt = "" if low > 0 or high < 0 else "; no clear difference on these images"
    return f"{kind.capitalize()} AP, B - A: 95% interval {low:+.3f} to {high:+.3f} (bootstrap over images{doubt})"


def images_text(comparison: dict[str, Any]) -> str:
    """Describes the number of images on which B is better or worse."""
    images = comparison["images"]
    return f"B is better on {plural(images['better'], 'image')}, worse on {images['worse']}, equal on {images['equal']}"


def comparison_lines(comparison: dict[str, Any]) -> Iterator[str]:
    """Yields the lines of the report."""
    counts = comparison["counts"]
    for name, weights in zip(NAMES, comparison["weights"], strict=True):
        yield f"{name}         {printable(weights)}"
    yield (
        f"dataset   {printable(comparison['dataset'])}, {comparison['split']}: {plural(counts['photos'], 'image')}, "
        f"{plural(counts['instances'], 'instance')}"
    )
    yield ""
    yield from align_columns(metric_rows(comparison))
    yield ""
    yield interval_text(comparison)
    yield f"At score {comparison['threshold']:g} and {comparison['kind']} IoU {IOU:g}: {images_text(comparison)}"
    for heading, photos in worst_and_best(comparison, MAX_LISTED):
        yield ""
        yield heading
        yield from (f"  {printable(photo['file'])}: {describe_change(photo)}" for photo in photos)
