"""`nike pack`: trained weights -> one small file to share, in which a score of 0.5 is the best limit."""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nike import cli  # first: it quiets TensorFlow
from nike.datasets.nike_dataset import SUBSETS, has_own_split
from nike.detection.detector import Detector, add_weights_arguments, chosen_weights, load_model, read_settings
from nike.detection.progress import report_failures
from nike.evaluate import MIN_CONFIDENCE, evaluate_folder
from nike.text import plural
from nike.training.run_photos import read_run_photos

if TYPE_CHECKING:
    from mrcnn.model import MaskRCNN

SUFFIX = ".h5"
SCORE_LAYER = "mrcnn_class_logits"
LIMIT = 0.5  # the score from which `nike detect` shows detections, after a calibration
EXTREME = 0.001  # calibration goes no nearer to 0 and 1
ROUNDS = 8  # of calibration at most: masks in the scores and box voting make a move fall short of its aim
SETTLED = 0.005  # F1 that the limit of 0.5 may be below the best
SIZES = range(64, 4097, 64)
DESCRIPTION = """\
Writes trained weights into one small file to share: 16 bits a weight, all settings inside,
for `nike detect --weights FILE`. The size to which photos are scaled can be changed, and
the scores can be adjusted so that 0.5 is the best limit."""
EPILOG = """\
--calibrate looks for the limit at which right and wrong detections on labelled photos are in the best balance
(the highest F1 at mask IoU 0.5), and moves all scores so that this limit is 0.5. Use photos that the weights were
not trained on: on training photos a network is too sure of itself. The photos are looked at one to nine times, until
0.5 is as good as the best limit. AP hardly changes: with one class the order of detections hardly does, and not at all
without DETECTION_MASK_SCORES and DETECTION_BOX_VOTING.

examples:
  nike pack --weights best --output mine.h5
  nike pack --weights best --name shoes --logs runs --output mine.h5
  nike pack --weights best.h5 --output mine.h5 --image-size 896 --calibrate my_photos/val
"""


@dataclass(frozen=True)
class Calibration:
    """The score above which detections should be kept, and how good they are from LIMIT on.

    Attributes:
        limit: score with the highest F1, above 0 and below 1.
        best_f1: there; as the next three at mask IoU 0.5, all classes together.
        f1, precision, recall: of detections with a score of LIMIT or more.
        photos: that were looked at.
        instances: on them.
    """

    limit: float
    best_f1: float
    f1: float
    precision: float
    recall: float
    photos: int
    instances: int

    @property
    def is_settled(self) -> bool:
        """Whether LIMIT is as good as the best limit."""
        return self.best_f1 - self.f1 <= SETTLED


def find_limit(
    detector: Detector, folder: Path, split: str | None, failures: list[str], lines: bool = True
) -> Calibration:
    """Looks for the limit with the highest F1 on labelled photos.

    Args:
        detector: reports detections of any score.
        folder: labelled photos.
        split: "train", "val", "all" or None, see `load_photos`.
        failures: gets the message for each photo that cannot be used.
        lines: see `Progress`.

    Raises:
        FileNotFoundError, ValueError: no photo can be used, or nothing on them is found.
    """
    from mrcnn.evaluation import best_f1, rank_detections

    evaluator, _, _, notes = evaluate_folder(detector, folder, split, None, failures, lines)
    for note in notes if lines else ():
        print(note)
    ranking = rank_detections(evaluator.records)
    best = best_f1(ranking)
    if not best["f1"]:
        raise ValueError(
            f"--calibrate: none of the {plural(ranking.num_gt, 'instance')} on {folder} was found, so there is no best "
            "limit. Nothing was written. Are these the right photos, labels and weights?"
        )
    below = max(ranking.scores[ranking.scores < best["threshold"]], default=0.0)
    kept = ranking.is_true[ranking.scores >= LIMIT]
    return Calibration(
        limit=_between(float(below), best["threshold"]),
        best_f1=best["f1"],
        f1=2 * kept.sum() / (len(kept) + ranking.num_gt),
        precision=kept.mean() if len(kept) else 0.0,
        recall=kept.sum() / ranking.num_gt,
        photos=len(evaluator.records),
        instances=int(ranking.num_gt),
    )


def _between(low: float, high: float) -> float:
    """The middle of two scores in log odds: rounding takes no detection over a limit there."""
    return _score(sum(_log_odds(min(max(score, EXTREME), 1 - EXTREME)) for score in (low, high)) / 2)


def _score(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def _log_odds(score: float) -> float:
    return math.log(score / (1 - score))


def move_limit(layers: Mapping[str, Any], limit: float) -> None:
    """Moves class scores so that what had this score has 0.5.

    A score is the softmax of the class logits. Raising the logit of the background by the log odds of the limit lowers
    the log odds of every object against the background by as much; objects among each other stay as they are.

    Args:
        layers: Keras layers by name; the bias of the class logits is changed.
        limit: above 0 and below 1.
    """
    bias = next(weight for weight in layers[SCORE_LAYER].weights if weight.name == "bias")
    values = bias.numpy()
    values[0] += _log_odds(limit)
    bias.assign(values)


def calibrate(
    model: MaskRCNN,
    class_names: list[str],
    folder: Path,
    split: str | None,
    failures: list[str],
    path: Path | None = None,
) -> tuple[float, Calibration]:
    """Changes a model so that LIMIT is the best limit on labelled photos.

    `move_limit` is exact for the scores of classes. If masks take part in the scores these move by less than the
    class does, and with box voting the boxes change a little: then it is done again for what is left, and the best
    round counts. A model whose best limit is LIMIT already stays as it is.

    Args:
        model: detects down to a score of MIN_CONFIDENCE; its class logits are changed.
        class_names: by class id, background first.
        folder, split, failures: see `find_limit`.
        path: the weights file, whose run tells which photos it validated on.

    Returns:
        The best limit of the scores as they were, and what was found with those they are now, before weights are
        rounded to 16 bits.

    Raises:
        FileNotFoundError, ValueError: see `find_limit`.
    """
    detector = Detector(model, class_names, path=path)
    before = found = best = find_limit(detector, folder, split, failures)
    log_odds = best_log_odds = 0.0  # by which the scores have been moved
    for number in range(ROUNDS):
        if found.is_settled:
            break
        move_limit(model.named_layers(), found.limit)
        log_odds += _log_odds(found.limit)
        print(f"scores moved; looking at the photos again ({number + 1})", flush=True)
        found = find_limit(detector, folder, split, [], lines=False)
        if found.f1 > best.f1:
            best, best_log_odds = found, log_odds
    move_limit(model.named_layers(), _score(best_log_odds - log_odds))
    return before.limit, best


# --- command ---


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike pack`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the new weights file, NAME.h5")
    add_weights_arguments(parser, "last")
    parser.add_argument(
        "--image-size",
        type=int,
        metavar="PIXELS",
        help="photos will be scaled to a square of this side, a multiple of 64: larger finds smaller logos and takes "
        "longer (default: as in training)",
    )
    parser.add_argument(
        "--calibrate", type=Path, metavar="DIR", help="labelled photos, not trained on: adjust the scores by them"
    )
    parser.add_argument(
        "--split",
        choices=(*SUBSETS, "all"),
        help="which part of them (default: as the run of the weights, else val, else all)",
    )
    parser.add_argument("--float32", action="store_true", help="keep all 32 bits: a file twice as large")


def _check_options(arguments: argparse.Namespace) -> None:
    output, side = arguments.output, arguments.image_size
    if output.suffix != SUFFIX:
        raise ValueError(f"--output: expected a name that ends in {SUFFIX}, got {output}.")
    if output.exists():
        raise FileExistsError(f"--output: {output} is there already. Choose another name, or move it.")
    if not output.absolute().parent.is_dir():
        raise FileNotFoundError(f"--output: there is no folder {output.parent}.")
    if side is not None and side not in SIZES:
        raise ValueError(f"--image-size: expected a multiple of 64 from 64 to {SIZES[-1]}, got {side}.")
    if arguments.calibrate is None and arguments.split is not None:
        raise ValueError("--split: it says which photos of --calibrate DIR to use; there is no --calibrate.")
    if arguments.calibrate is not None and not arguments.calibrate.exists():
        raise FileNotFoundError(f"--calibrate: {arguments.calibrate}: there is no such file or folder.")


def run_command(arguments: argparse.Namespace) -> int:
    """Packs; returns the exit code, 1 if some photos could not be used for the calibration."""
    _check_options(arguments)
    from mrcnn import checkpoints

    path = chosen_weights(arguments)
    config, class_names = read_settings(path, arguments.config)
    if (side := arguments.image_size) is not None:
        config = config.copy(IMAGE_MIN_DIM=side, IMAGE_MAX_DIM=side, IMAGE_RESIZE_MODE="square")
    # To calibrate, detections of any score are wanted; the file keeps its own settings.
    seeing_all = dict(DETECTION_ANY_FOREGROUND=True, DETECTION_MIN_CONFIDENCE=MIN_CONFIDENCE)
    model = load_model(path, config.copy(GPU_COUNT=1, IMAGES_PER_GPU=1, **seeing_all))
    failures: list[str] = []
    if arguments.calibrate is not None:
        if arguments.split is None and not has_own_split(arguments.calibrate) and read_run_photos(path) is None:
            print(f"note: all photos of {arguments.calibrate} are used; none should have been trained on.")
        limit, found = calibrate(model, class_names, arguments.calibrate, arguments.split, failures, path)
        config = config.copy(DETECTION_MIN_CONFIDENCE=LIMIT)
        if not found.is_settled:
            print(f"note: the best limit did not come to {LIMIT}; {found.limit:.3f} would give F1 {found.best_f1:.3f}.")
        print(
            f"best limit before: {limit:.3f}; at {LIMIT} now: F1 {found.f1:.3f}, precision {found.precision:.3f}, "
            f"recall {found.recall:.3f} ({plural(found.photos, 'photo')}, {plural(found.instances, 'instance')})"
        )
    dtype = "float32" if arguments.float32 else "float16"
    metadata = {"class_names": class_names}
    checkpoints.save_weights(model.named_layers(), arguments.output, config, metadata, dtype, overwrite=False)
    content = arguments.output.read_bytes()
    print(f"{arguments.output}: {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
    return report_failures(failures, "Not all photos could be used:")


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike pack` and `python nike/pack.py`."""
    return cli.start("pack", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
