"""Plots: precision-recall curve, IoU matrix, training curves."""

import csv
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mrcnn.atomic import replacing
from mrcnn.errors import UserError
from mrcnn.visualization.colors import PLOT_COLORS
from mrcnn.visualization.drawing import caption
from mrcnn.visualization.images import new_axes


def plot_precision_recall(AP: float, precisions: np.ndarray, recalls: np.ndarray) -> Axes:
    """Plots a precision-recall curve.

    Args:
        AP: float, average precision at IoU 0.5, shown in the title.
        precisions: `[N]` float; see `compute_ap`.
        recalls: `[N]` float.

    Returns:
        The axes.

    Source: Matterport.
    """
    ax = new_axes((6, 5))
    ax.plot(recalls, precisions, color=PLOT_COLORS[0])
    ax.fill_between(recalls, precisions, color=PLOT_COLORS[0], alpha=0.15, lw=0)
    ax.set(xlim=(0, 1.05), ylim=(0, 1.05), xlabel="Recall", ylabel="Precision")
    ax.set_title(f"Precision-Recall Curve. AP@50 = {AP:.3f}")
    ax.grid(alpha=0.3)
    return ax


def plot_overlaps(
    gt_class_ids: np.ndarray,
    pred_class_ids: np.ndarray,
    pred_scores: np.ndarray,
    overlaps: np.ndarray,
    class_names: Sequence[str],
    threshold: float = 0.5,
) -> Axes:
    """Plots the IoU matrix of predictions and ground truth, with matching pairs labelled.

    Args:
        gt_class_ids: `[G]` int, zeros are padding.
        pred_class_ids: `[N]` int, zeros are padding.
        pred_scores: `[N]` float.
        overlaps: `[n, g]` IoU without padding, rows in the order of `pred_class_ids`.
        class_names: list of class names, background first.
        threshold: float, IoU above which a pair is labelled "match" (same class) or "wrong" (different classes).

    Returns:
        The axes.

    Source: Matterport.
    """
    gt_class_ids, pred_class_ids = (np.asarray(ids)[np.asarray(ids) != 0] for ids in (gt_class_ids, pred_class_ids))
    rows, columns = len(pred_class_ids), len(gt_class_ids)
    ax = new_axes((min(12, 3 + 0.9 * columns), min(10, 2 + 0.5 * rows)))
    ax.imshow(overlaps, interpolation="nearest", cmap="Blues", vmin=0, vmax=1, aspect="auto")
    names = [caption(class_names, int(c), s) for c, s in zip(pred_class_ids, pred_scores, strict=False)]
    ax.set_yticks(np.arange(rows), names)
    ax.set_xticks(np.arange(columns), [caption(class_names, int(c)) for c in gt_class_ids], rotation=90)
    for (row, column), iou in np.ndenumerate(overlaps):
        label = ""
        if iou > threshold:
            label = "\nmatch" if gt_class_ids[column] == pred_class_ids[row] else "\nwrong"
        color = "white" if iou > 0.6 else "black"
        ax.text(column, row, f"{iou:.3f}{label}", ha="center", va="center", fontsize=9, color=color)
    ax.set(xlabel="Ground Truth", ylabel="Predictions")
    ax.figure.tight_layout()
    return ax


def plot_training_curves(
    history_csv_or_dict: str | os.PathLike | Mapping[str, Sequence[float]], path: str | os.PathLike | None = None
) -> Figure:
    """Plots losses, average precision and learning rate by epoch.

    A validation metric `val_x` is dashed if `x` is also plotted. Plotted columns are `loss`, `..._loss`, AP (`mask_AP`,
    `val_box_AP50`, ...) and `lr` or `learning_rate`. Missing columns and values are skipped.

    Args:
        history_csv_or_dict: path of a CSV file written by Keras's `CSVLogger`, `fit(...).history`, or a Keras
            `History`.
        path: file to which the figure is saved (.png, .svg, .pdf), or None.

    Returns:
        The figure. It is not registered with pyplot and does not have to be closed.

    Raises:
        FileNotFoundError: if the CSV file does not exist.
        ValueError: if a cell is not a number, or if there is no column to plot.
    """
    history = getattr(history_csv_or_dict, "history", history_csv_or_dict)
    curves = dict(history) if isinstance(history, Mapping) else _read_csv(Path(history))
    epochs = curves.pop("epoch", None)
    panels = [(title, _matching_names(curves, pattern)) for title, pattern in PANELS.items()]
    panels = [(title, names) for title, names in panels if names]
    if not panels:
        raise UserError(f"training curves: expected columns such as loss, val_loss or mask_AP, got {sorted(curves)}.")
    figure = Figure(figsize=(5.2 * len(panels), 4), layout="constrained")
    for ax, (title, names) in zip(np.ravel(figure.subplots(1, len(panels))), panels, strict=True):
        _plot_panel(ax, title, {name: curves[name] for name in names}, epochs)
    if path is not None:
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=110)
    return figure


PANELS = {
    "Loss": r"loss",
    "Parts of the loss": r".+_loss",
    "Average precision": r"(.+_)?m?(AP|ap)(\d+|s|m|l)?(_.+)?",
    "Learning rate": r"lr|learning_rate",
}


def _matching_names(curves: Mapping[str, Sequence[float]], pattern: str) -> list[str]:
    return [name for name in curves if re.fullmatch(pattern, name.removeprefix("val_"))]


def _plot_panel(ax: Axes, title: str, curves: Mapping[str, Sequence[float]], epochs: Sequence[float] | None) -> None:
    colors: dict[str, str] = {}
    for name, values in curves.items():
        base = name.removeprefix("val_")
        color = colors.setdefault(base, PLOT_COLORS[len(colors) % len(PLOT_COLORS)])
        y = np.array([np.nan if v is None else float(v) for v in values])
        x = np.arange(len(y)) + 1 if epochs is None else np.asarray(epochs, dtype=np.float64)[: len(y)]
        valid = np.isfinite(y) & (y >= 0)  # an undefined AP is -1
        dashed = name != base and base in curves
        style, label = ("--", None) if dashed else ("-", name)
        ax.plot(x[valid], y[valid], color=color, ls=style, marker=".", ms=4, lw=1.5, label=label)
        if dashed and "dashed" not in title:
            title += " (dashed: validation)"
    ax.set_title(title)
    ax.set_xlabel("epoch")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_ylim(bottom=0)
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, framealpha=0.6)


def _read_csv(path: Path) -> dict[str, list[float]]:
    """Reads numeric columns by name. An empty cell is NaN."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        curves: dict[str, list[float]] = {name: [] for name in reader.fieldnames or []}
        for row in reader:
            for name in curves:
                try:
                    curves[name].append(float(row[name] or "nan"))
                except ValueError:
                    where = f"{path}, line {reader.line_num}, column {name}"
                    raise UserError(f"{where}: expected a number, got {row[name]!r}.") from None
    return curves
