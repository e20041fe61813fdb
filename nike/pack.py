"""`nike pack`: writes trained weights to one small file, optionally with calibrated scores."""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrcnn.errors import UserError
from mrcnn.evaluation.average_precision import Ranking, threshold_below
from nike import cli  # imported first to suppress TensorFlow's messages
from nike.datasets.read_subset import has_own_split
from nike.detection.detector import Detector
from nike.detection.options import (
    add_image_size_argument,
    add_weights_arguments,
    check_image_size,
    find_chosen_weights,
    with_image_size,
)
from nike.detection.progress import report_failures
from nike.detection.weights import load_keras_model, read_settings
from nike.evaluate import MIN_CONFIDENCE, evaluate_folder
from nike.formatting import plural
from nike.reporting.operating_points import operating_points
from nike.reporting.selection import add_split_argument
from nike.training.run_split import read_run_photos

if TYPE_CHECKING:
    from mrcnn.model import MaskRCNN

SUFFIX = ".h5"
SCORE_LAYER = "mrcnn_class_logits"
THRESHOLD = 0.5  # score threshold of `nike detect` after a calibration
MAX_ITERATIONS = 8  # a single shift is not exact with mask scores and box voting
F1_TOLERANCE = 0.005  # accepted difference between the best F1 and the F1 at THRESHOLD
DESCRIPTION = """\
Write trained weights to one small file for `nike detect --weights FILE`. It contains float16
weights and all settings. The input size can be changed, and the scores can be calibrated so
that the best threshold is 0.5."""
EPILOG = """\
--calibrate determines the score threshold with the highest F1 at mask IoU 0.5 on labelled images and shifts the class
logits so that this threshold becomes 0.5. Use images that the weights were not trained on, because scores on training
images are overconfident. Detection runs on the images one to nine times, until the F1 at 0.5 is within 0.005 of the
best F1. AP does not change with one class, except for small effects of DETECTION_MASK_SCORES and DETECTION_BOX_VOTING.

examples:
  nike pack --weights best --output mine.h5
  nike pack --weights best --name shoes --logs runs --output mine.h5
  nike pack --weights best.h5 --output mine.h5 --image-size 896 --calibrate my_photos/val
  nike pack --weights best --output mine.h5 --calibrate my_photos/val --target-precision 0.95
"""


@dataclass(frozen=True)
class Calibration:
    """The best score threshold on a dataset, and the metrics at THRESHOLD.

    All metrics are at mask IoU 0.5 (box IoU without masks), over all classes.

    Attributes:
        threshold: score threshold with the highest F1, 0 < threshold < 1.
        best_f1: F1 at `threshold`.
        f1: F1 at THRESHOLD.
        precision: precision at THRESHOLD.
        recall: recall at THRESHOLD.
        photos: number of images.
        instances: number of ground-truth instances.
        ranking: the detections of all images, sorted by score.
    """

    threshold: float
    best_f1: float
    f1: float
    precision: float
    recall: float
    photos: int
    instances: int
    ranking: Ranking | None = None

    @property
    def converged(self) -> bool:
        """Whether the F1 at THRESHOLD is within F1_TOLERANCE of the best F1."""
        return self.best_f1 - self.f1 <= F1_TOLERANCE


def find_threshold(
    detector: Detector, folder: Path, split: str | None, failures: list[str], lines: bool = True
) -> Calibration:
    """Finds the score threshold with the highest F1 on labelled images.

    Args:
        detector: detector with a score threshold of MIN_CONFIDENCE.
        folder: labelled images.
        split: "train", "val", "all" or None; see `load_photos`.
        failures: list to which a message is added for each image that cannot be used.
        lines: see `ProgressBar`.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if no image can be used, or there is no true positive.
    """
    from mrcnn.evaluation import best_f1, kinds_of, rank_detections

    evaluator, _, _, notes = evaluate_folder(detector, folder, split, None, failures, lines)
    for note in notes if lines else ():
        print(note)
    ranking = rank_detections(evaluator.records, kinds_of(evaluator.records)[0])
    best = best_f1(ranking)
    if not best["f1"]:
        raise UserError(
            f"--calibrate: {folder}: no true positives ({plural(ranking.num_gt, 'instance')}), so no threshold can be "
            "chosen. Nothing was written. Check the images, labels and weights."
        )
    kept = ranking.is_true[ranking.scores >= THRESHOLD]
    return Calibration(
        threshold=threshold_below(ranking, best["threshold"]),
        best_f1=best["f1"],
        f1=2 * kept.sum() / (len(kept) + ranking.num_gt),
        precision=kept.mean() if len(kept) else 0.0,
        recall=kept.sum() / ranking.num_gt,
        photos=len(evaluator.records),
        instances=int(ranking.num_gt),
        ranking=ranking,
    )


def threshold_for_precision(ranking: Ranking, precision: float) -> tuple[float, float]:
    """Returns the lowest score threshold with a minimum precision, and the recall at this threshold.

    Raises:
        UserError: if no threshold reaches the precision.
    """
    point = operating_points(ranking, [precision])[0]
    if point["threshold"] < 0:
        raise UserError(
            f"--target-precision: no score threshold reaches {precision:g} on the images of --calibrate; the highest "
            f"precision is {max(ranking.precisions, default=0.0):.3f}. Nothing was written."
        )
    return threshold_below(ranking, point["threshold"]), point["recall"]


def _sigmoid(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def _logit(score: float) -> float:
    return math.log(score / (1 - score))


def shift_threshold(layers: Mapping[str, Any], threshold: float) -> None:
    """Shifts the class scores so that a score of `threshold` becomes 0.5.

    Scores are the softmax of the class logits. Adding the log odds of the threshold to the background logit lowers the
    log odds of every class against the background by the same amount and keeps the ratios between the other classes.

    Args:
        layers: Keras layers by name. The bias of the class logits is changed in place.
        threshold: score, 0 < threshold < 1.
    """
    bias = next(weight for weight in layers[SCORE_LAYER].weights if weight.name == "bias")
    values = bias.numpy()
    values[0] += _logit(threshold)
    bias.assign(values)


def calibrate(
    model: MaskRCNN,
    class_names: list[str],
    folder: Path,
    split: str | None,
    failures: list[str],
    path: Path | None = None,
) -> tuple[float, Calibration]:
    """Calibrates the class scores of a model so that THRESHOLD is the best threshold on labelled images.

    `shift_threshold` is exact for class scores. With mask scores, the final scores change less, and with box voting,
    the boxes change slightly. The shift is therefore repeated until it converges. The iteration with the highest F1 is
    kept; in case of a tie, the last one. A model that has converged before the first shift is not changed.

    Args:
        model: model with a score threshold of MIN_CONFIDENCE. Its class logits are changed in place.
        class_names: class names by class id, background first.
        folder: labelled images.
        split: "train", "val", "all" or None; see `load_photos`.
        failures: list to which a message is added for each image that cannot be used.
        path: weights file. Its log folder records the validation images of the run.

    Returns:
        The best threshold before the calibration, and the calibration result. The result is measured before the
        weights are rounded to float16.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if no image can be used, or there is no true positive.
    """
    detector = Detector(model, class_names, path=path)
    before = found = best = find_threshold(detector, folder, split, failures)
    log_odds = best_log_odds = 0.0  # total shift of the log odds
    for number in range(MAX_ITERATIONS):
        if found.converged:
            break
        shift_threshold(model.named_layers(), found.threshold)
        log_odds += _logit(found.threshold)
        print(f"scores shifted; repeating detection ({number + 1})", flush=True)
        found = find_threshold(detector, folder, split, [], lines=False)
        if found.f1 >= best.f1:
            best, best_log_odds = found, log_odds
    shift_threshold(model.named_layers(), _sigmoid(best_log_odds - log_odds))
    return before.threshold, best


# --- command ---


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike pack`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="weights file to write (.h5)")
    add_weights_arguments(parser, "last")
    add_image_size_argument(parser)
    parser.add_argument(
        "--calibrate", type=Path, metavar="DIR", help="labelled images for the calibration, not used in training"
    )
    add_split_argument(parser, "--calibrate")
    parser.add_argument(
        "--target-precision",
        type=float,
        metavar="FLOAT",
        help="store the lowest score threshold with this precision on the images of --calibrate (default: store 0.5, "
        "the threshold with the highest F1)",
    )
    parser.add_argument("--float32", action="store_true", help="write float32 weights; the file is twice as large")


def _check_options(arguments: argparse.Namespace) -> None:
    output = arguments.output
    if output.suffix != SUFFIX:
        raise UserError(f"--output: expected a name that ends in {SUFFIX}, got {output}.")
    if output.exists():
        raise FileExistsError(f"--output: {output} already exists. Choose another name or move the file.")
    if not output.absolute().parent.is_dir():
        raise FileNotFoundError(f"--output: {output.parent}: no such folder.")
    check_image_size(arguments.image_size)
    if arguments.calibrate is None and arguments.split is not None:
        raise UserError("--split requires --calibrate.")
    if (precision := arguments.target_precision) is not None:
        if arguments.calibrate is None:
            raise UserError("--target-precision requires --calibrate.")
        if not 0 < precision <= 1:
            raise UserError(f"--target-precision: expected a number above 0 and at most 1, got {precision:g}.")
    if arguments.calibrate is not None and not arguments.calibrate.exists():
        raise FileNotFoundError(f"--calibrate: {arguments.calibrate}: no such file or folder.")


def run_command(arguments: argparse.Namespace) -> int:
    """Writes the packed weights. Returns 1 if some images could not be used for the calibration, else 0."""
    _check_options(arguments)
    from mrcnn import checkpoints

    path = find_chosen_weights(arguments)
    config, class_names = read_settings(path, arguments.config)
    config = with_image_size(config, arguments.image_size)
    # The calibration requires detections with nearly all scores. The output file contains the settings of `config`.
    any_score = dict(DETECTION_ANY_FOREGROUND=True, DETECTION_MIN_CONFIDENCE=MIN_CONFIDENCE)
    model = load_keras_model(path, config.copy(GPU_COUNT=1, IMAGES_PER_GPU=1, **any_score))
    failures: list[str] = []
    if arguments.calibrate is not None:
        if arguments.split is None and not has_own_split(arguments.calibrate) and read_run_photos(path) is None:
            print(f"note: using all images of {arguments.calibrate}. They must not include training images.")
        threshold, found = calibrate(model, class_names, arguments.calibrate, arguments.split, failures, path)
        config = config.copy(DETECTION_MIN_CONFIDENCE=THRESHOLD)
        if not found.converged:
            print(
                f"note: the calibration did not converge; the best F1 is {found.best_f1:.3f} at threshold "
                f"{found.threshold:.3f}."
            )
        print(
            f"best threshold before: {threshold:.3f}; now at {THRESHOLD}: F1 {found.f1:.3f}, precision "
            f"{found.precision:.3f}, recall {found.recall:.3f} ({plural(found.photos, 'image')}, "
            f"{plural(found.instances, 'instance')})"
        )
        if arguments.target_precision is not None:
            threshold, recall = threshold_for_precision(found.ranking, arguments.target_precision)
            config = config.copy(DETECTION_MIN_CONFIDENCE=round(threshold, 4))
            print(f"threshold for precision {arguments.target_precision:g}: {threshold:.3f}, recall {recall:.3f}")
    dtype = "float32" if arguments.float32 else "float16"
    metadata = {"class_names": class_names}
    checkpoints.save_weights(model.named_layers(), arguments.output, config, metadata, dtype, overwrite=False)
    content = arguments.output.read_bytes()
    print(f"{arguments.output}: {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
    return report_failures(failures, "Some images could not be used:")


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike pack` and `python nike/pack.py`."""
    return cli.start("pack", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
