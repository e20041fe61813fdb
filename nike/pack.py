"""`nike pack`: trained weights -> one small file to share, whose scores mean what they say."""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nike import cli  # first: it quiets TensorFlow
from nike.dataset import SUBSETS
from nike.detection.detector import Detector, find_weights, load_model, read_settings
from nike.detection.progress import Progress, report_failures
from nike.evaluate import MIN_CONFIDENCE, evaluate, load_photos

SUFFIX = ".h5"
SCORE_LAYER = "mrcnn_class_logits"
DESCRIPTION = """\
Makes of trained weights one file to share: half the size (16 bits a weight), with all
settings inside, for `nike detect --weights FILE`. On the way the size at which photos are
looked at can be changed, and the scores can be set right."""
EPILOG = """\
--calibrate looks for the score at which right and wrong detections on labelled photos are in the best balance
(the highest F1 at mask IoU 0.5) and makes that score 0.5. Order and AP of detections stay as they are.

examples:
  nike pack --output mask_rcnn_mine.h5
  nike pack --weights best.h5 --output mine.h5 --image-size 896 --calibrate my_photos
"""


def best_thresholds(detector: Detector, folder: Path, split: str | None, failures: list[str]) -> dict[str, float]:
    """For each class the score with the highest F1, mask IoU 0.5; a class that is never found is left out.

    Args:
        detector: reports detections of any score.
        folder: labelled photos.
        split: "train", "val", "all" or None, see `load_photos`.
        failures: gets the message for each photo that cannot be used.

    Raises:
        FileNotFoundError, ValueError: there are no photos.
    """
    from mrcnn.evaluation import detection_report

    dataset, _ = load_photos(folder, split, ",".join(detector.class_names[1:]))
    with Progress(len(dataset.image_ids), lines=False) as progress:
        evaluator = evaluate(detector, dataset, failures.append, progress.step)
    classes = detection_report(evaluator.records, evaluator.class_names)["classes"]
    best = {name: figures["best_f1"] for name, figures in classes.items()}
    return {name: figures["threshold"] for name, figures in best.items() if figures["f1"] > 0}


def shift_scores(bias: np.ndarray, class_names: list[str], thresholds: Mapping[str, float]) -> np.ndarray:
    """The bias of the class logits with which a detection that had its class's threshold as score has 0.5.

    A score is the softmax of the logits; lowering a class's own logit by log(t / (1 - t)) lowers the log odds of its
    score by as much.

    Args:
        bias: `[C]` of the class logits, background first.
        class_names: by class id, background first.
        thresholds: by class name, above 0 and below 1; other classes stay as they are.

    Returns:
        `[C]`, a new array.
    """
    shifted = np.array(bias)
    for name, threshold in thresholds.items():
        threshold = min(max(threshold, 0.01), 0.99)  # never to where hardly anything, or anything, is reported
        shifted[class_names.index(name)] -= math.log(threshold / (1 - threshold))
    return shifted


def pack(
    layers: Mapping[str, Any],
    config: Any,
    class_names: list[str],
    output: Path,
    thresholds: Mapping[str, float],
    dtype: str = "float16",
) -> None:
    """Writes weights with the scores of `thresholds` moved to 0.5.

    Args:
        layers: Keras layers by name; the bias of the class logits is changed.
        config: the settings that go into the file.
        class_names: by class id, background first.
        output: the file.
        thresholds: see `shift_scores`.
        dtype: see `mrcnn.checkpoints.save_weights`.
    """
    from mrcnn.checkpoints import save_weights

    bias = next(weight for weight in layers[SCORE_LAYER].weights if weight.name == "bias")
    bias.assign(shift_scores(bias.numpy(), class_names, thresholds))
    save_weights(layers, output, config, {"class_names": class_names}, dtype)


# --- command ---


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike pack`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the new weights file, NAME.h5")
    parser.add_argument(
        "--weights",
        default="last",
        metavar="NAME",
        help="last (of your last training), nike (they ship) or a file (default: last)",
    )
    parser.add_argument(
        "--logs", type=Path, default=Path("logs"), metavar="DIR", help="where --weights=last looks (default: logs)"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="JSON or YAML: settings in place of those in the weights file"
    )
    parser.add_argument(
        "--image-size",
        type=int,
        metavar="PIXELS",
        help="photos are looked at in a square of this side, a multiple of 64: larger finds smaller logos and takes "
        "longer (default: as in training)",
    )
    parser.add_argument("--calibrate", type=Path, metavar="DIR", help="labelled photos to set the scores right by")
    parser.add_argument(
        "--split", choices=(*SUBSETS, "all"), help="which part of them (default: val if there is one, else all)"
    )
    parser.add_argument("--float32", action="store_true", help="keep all bits: a file twice as large, to train on")


def run_command(arguments: argparse.Namespace) -> int:
    """Packs; returns the exit code, 1 if some photos could not be used for the calibration."""
    output = arguments.output
    if output.suffix != SUFFIX:
        raise ValueError(f"--output: expected a name that ends in {SUFFIX}, got {output}.")
    if output.exists():
        raise FileExistsError(f"--output: {output} is there already. Choose another name, or move it.")
    if arguments.calibrate is not None and not arguments.calibrate.exists():
        raise FileNotFoundError(f"--calibrate: {arguments.calibrate}: no such folder.")
    path = find_weights(arguments.weights, arguments.logs)
    config, class_names = read_settings(path, arguments.config)
    side = arguments.image_size
    if side is not None:
        config = config.copy(IMAGE_MIN_DIM=side, IMAGE_MAX_DIM=side, IMAGE_RESIZE_MODE="square")
        config.validate()
    # Detections of any score are wanted here; the file keeps its own settings.
    model = load_model(
        path, config.copy(DETECTION_ANY_FOREGROUND=True, DETECTION_MIN_CONFIDENCE=MIN_CONFIDENCE, IMAGES_PER_GPU=1)
    )
    thresholds: dict[str, float] = {}
    failures: list[str] = []
    if arguments.calibrate is not None:
        detector = Detector(model, class_names)
        thresholds = best_thresholds(detector, arguments.calibrate, arguments.split, failures)
        for name, threshold in thresholds.items():
            print(f"{name}: what had a score of {threshold:.3f} has 0.5 now")
    dtype = "float32" if arguments.float32 else "float16"
    pack(model.named_layers(), config, class_names, output, thresholds, dtype)
    content = output.read_bytes()
    print(f"{output}: {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
    return report_failures(failures, "Not all photos could be used:")


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike pack` and `python nike/pack.py`."""
    return cli.start("pack", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
