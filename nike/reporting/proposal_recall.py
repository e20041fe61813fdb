"""Recall as a function of the number of proposals: `python -m nike.reporting.proposal_recall` prints a Markdown table.

It compares Selective Search with the RPN of the weights at two IoU thresholds. An instance is found by the first N
proposals of its image if the IoU of its box with one of these proposals reaches the threshold. Proposals are not
cached.

Source: Ren et al. 2015, Faster R-CNN, section 4.1, "Recall-to-IoU"; Hosang et al. 2016, "What makes for effective
detection proposals?".
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mrcnn.atomic import replacing
from mrcnn.errors import UserError
from mrcnn.export import is_export
from mrcnn.inference.processing import preprocess
from mrcnn.ops.boxes import compute_overlaps, pixel_boxes
from mrcnn.ops.masks import extract_bboxes
from nike import cli  # imported first to suppress TensorFlow's messages
from nike.datasets.labels import Labels
from nike.datasets.nike_dataset import SAMPLE_DATA, NikeDataset
from nike.datasets.read_subset import SUBSETS
from nike.datasets.selective_search import MODES, check_proposals, selective_search
from nike.detection.weights import load_keras_model, read_settings, resolve_weights
from nike.output_checks import check_output_file
from nike.reporting.selection import load_photos

IOUS = (0.5, 0.7)
FIGURES = (".png", ".svg", ".pdf")
COUNTS = (10, 30, 100, 300, 1000, 2000)  # numbers of proposals in the table; the last one is the maximum
TITLES = {"selective_search_fast": "Selective Search, fast", "selective_search_quality": "Selective Search, quality"}

Proposer = Callable[[np.ndarray], np.ndarray]  # image -> boxes [K, 4] in pixels, best first


class Curve(NamedTuple):
    """Recall of one source of proposals.

    Attributes:
        required: number of proposals required to find each instance, by IoU threshold; infinity if it is not found.
        boxes: mean number of proposals per image.
        seconds: median processor time per image.
    """

    required: dict[float, np.ndarray]
    boxes: float
    seconds: float

    def recall(self, iou: float, count: int) -> float:
        """Returns the fraction of instances that are found by the first `count` proposals of their images."""
        return float(np.mean(self.required[iou] <= count))


def count_required(proposals: np.ndarray, gt_boxes: np.ndarray, iou: float) -> np.ndarray:
    """Returns the number of proposals required to find each ground-truth box, `[G]`; infinity if it is not found.

    Args:
        proposals: `[K, 4]`, best first.
        gt_boxes: `[G, 4]`.
        iou: minimum IoU.
    """
    if not len(proposals):
        return np.full(len(gt_boxes), np.inf)
    found = compute_overlaps(proposals, gt_boxes) >= iou  # [K, G]
    return np.where(found.any(axis=0), found.argmax(axis=0) + 1, np.inf)


def rpn_proposer(model: Any) -> Proposer:
    """Returns a function that computes the RPN proposals of a MaskRCNN for an image."""
    import keras

    network = model.inference_model
    rpn = keras.Model(network.inputs, network.get_layer("ROI").output)

    def propose(image: np.ndarray) -> np.ndarray:
        item = preprocess(image, model.config)
        anchors = model.get_anchors(item.image.shape)[None]
        rois = np.asarray(rpn([item.image[None], np.float32(item.meta)[None], anchors], training=False))[0]
        rois = pixel_boxes(rois[rois.any(axis=1)], item.image.shape)
        top, left, bottom, right = item.window
        scale = np.array([image.shape[0] / (bottom - top), image.shape[1] / (right - left)] * 2)
        return (rois - [top, left, top, left]) * scale

    return propose


def measure_recall(dataset: NikeDataset, propose: Proposer) -> Curve:
    """Measures the recall of a source of proposals on all images of a dataset that contain an object."""
    required: dict[float, list[np.ndarray]] = {iou: [] for iou in IOUS}
    counts, seconds = [], []
    for image_id in dataset.image_ids:
        masks, class_ids = dataset.load_mask(image_id)
        gt_boxes = extract_bboxes(masks[:, :, class_ids > 0])
        if not len(gt_boxes):
            continue
        image = dataset.load_image(image_id)
        start = time.process_time()
        proposals = propose(image)
        seconds.append(time.process_time() - start)
        counts.append(len(proposals))
        for iou in IOUS:
            required[iou].append(count_required(proposals, gt_boxes, iou))
    if not counts:
        raise UserError("--dataset: no image contains an object of a class of the weights.")
    return Curve({iou: np.concatenate(each) for iou, each in required.items()}, np.mean(counts), np.median(seconds))


def markdown_table(curves: dict[str, Curve]) -> str:
    """Returns the recall at COUNTS as a Markdown table."""
    lines = [
        "| Proposals | IoU | " + " | ".join(f"{count}" for count in COUNTS) + " | boxes | processor time |",
        "|---" * (len(COUNTS) + 4) + "|",
    ]
    for iou in IOUS:
        for name, curve in curves.items():
            recalls = " | ".join(f"{curve.recall(iou, count):.2f}" for count in COUNTS)
            lines.append(f"| {name} | {iou} | {recalls} | {curve.boxes:.0f} | {curve.seconds:.2f} s |")
    return "\n".join(lines)


def save_figure(path: Path, curves: dict[str, Curve], title: str) -> None:
    """Writes an image file with recall over the number of proposals, with one panel for each IoU threshold."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    panels: Sequence[Any] = figure.subplots(1, len(IOUS), sharey=True)
    counts = np.unique(np.geomspace(1, COUNTS[-1], 200).astype(int))
    for panel, iou in zip(panels, IOUS, strict=True):
        for name, curve in curves.items():
            panel.step(counts, [curve.recall(iou, count) for count in counts], where="post", label=name)
        panel.set(xscale="log", xlim=(1, COUNTS[-1]), ylim=(0, 1), title=f"IoU {iou}", xlabel="proposals per image")
        panel.set_xticks((1, 10, 100, 1000), ("1", "10", "100", "1000"))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("recall")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(curves))
    figure.suptitle(title)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.description = __doc__
    parser.add_argument(
        "--dataset", type=Path, default=SAMPLE_DATA, metavar="DIR", help="labelled images (default: the sample images)"
    )
    parser.add_argument("--split", choices=(*SUBSETS, "all"), help="subset of --dataset (default: val, else all)")
    parser.add_argument("--weights", default="nike", metavar="NAME", help="weights with an RPN (default: nike)")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="write the curves as an image")


def run_comparison(arguments: argparse.Namespace) -> None:
    """Runs the comparison, prints its table and writes its figure."""
    if arguments.figure:
        check_output_file(arguments.figure, "--figure")
        if arguments.figure.suffix not in FIGURES:
            raise UserError(f"--figure: expected a name that ends in {', '.join(FIGURES)}, got {arguments.figure}.")
    path = resolve_weights(arguments.weights)
    config, class_names = read_settings(path)
    if is_export(path) or not config.has_rpn:
        raise UserError(f"--weights: {path} is an exported model or has no RPN. Choose a weights file with an RPN.")
    for mode in MODES:
        check_proposals(mode)
    dataset, split, _ = load_photos(arguments.dataset, arguments.split, Labels(class_names[1:]))
    config = config.copy(POST_NMS_ROIS_INFERENCE=COUNTS[-1], GPU_COUNT=1, IMAGES_PER_GPU=1)
    sources: dict[str, Proposer] = {f"RPN of {arguments.weights}": rpn_proposer(load_keras_model(path, config))}
    sources |= {TITLES[mode]: lambda image, mode=mode: selective_search(image, mode) for mode in MODES}
    curves = {name: measure_recall(dataset, propose) for name, propose in sources.items()}
    instances = len(next(iter(curves.values())).required[IOUS[0]])
    title = f"{arguments.dataset.name}, {split}: {instances} instances"
    print(title, markdown_table(curves), sep="\n\n")
    if arguments.figure:
        save_figure(arguments.figure, curves, title)


def main(argv: list[str] | None = None) -> int:
    """Entry point of `python -m nike.reporting.proposal_recall`. For the exit codes see `nike.cli.run`."""
    return cli.start("nike.reporting.proposal_recall", add_arguments, run_comparison, argv)


if __name__ == "__main__":
    sys.exit(main())
