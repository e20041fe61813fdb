"""`nike export`: exports weights for other runtimes and verifies the result."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from mrcnn.config import Config
from mrcnn.errors import UserError
from mrcnn.export import FORMATS, ExportedModel, VerificationError, is_export
from mrcnn.export.verify import summary
from nike import cli  # imported first to suppress TensorFlow's messages
from nike.datasets import photos
from nike.datasets.nike_dataset import SAMPLE_DATA
from nike.datasets.read_any_format import read_dataset
from nike.datasets.read_subset import count_labels
from nike.detection.detector import Detector
from nike.detection.options import (
    add_image_size_argument,
    add_weights_arguments,
    check_image_size,
    find_chosen_weights,
    with_image_size,
)
from nike.detection.weights import load_keras_model, read_settings
from nike.evaluate import MIN_CONFIDENCE, evaluate_folder

MAX_VERIFIED = 8  # maximum number of images; a faulty conversion changes the detections on most images
MAX_CALIBRATION = 64  # maximum number of images; more images take longer without a benefit
INT8 = "openvino-int8"
MAX_AP_DECREASE = 0.01  # maximum accepted decrease of AP
DESCRIPTION = """\
Export weights for another runtime. The detections of the exported model and of the original are
compared on images, and the exported model is written only if they agree. Other commands load it
with `--weights DIR`."""
EPILOG = """\
formats:
  openvino       for CPUs, without TensorFlow (pip install openvino)
  openvino-int8  openvino with 8-bit convolutions: faster, with slightly different detections
                 (pip install openvino nncf). With labelled images in --verify, the AP of both
                 models is compared, and a model that loses more than 0.01 is not written.
  onnx           for ONNX Runtime, without TensorFlow (pip install onnxruntime; to export, also tf2onnx)
  litert         for phones and ARM devices, without TensorFlow (pip install ai-edge-litert)
  saved_model    for TensorFlow Serving, and for programs without this package

examples:
  nike export --output nike_openvino
  nike detect photo.jpg --weights nike_openvino
  nike export --format openvino-int8 --calibrate my_photos/train --verify my_photos
  nike export --weights=best --format saved_model --output model --verify my_photos

Exit code: 0 written; 1 the exported model differs from the original, nothing was written; 2 invalid options.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike export`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("--format", choices=FORMATS, default="openvino", help="format, see below (default: openvino)")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="output folder (default: name of the weights and of the format, such as mask_rcnn_nike_openvino)",
    )
    parser.add_argument(
        "--verify",
        type=Path,
        default=SAMPLE_DATA,
        metavar="DIR",
        help=f"folder of images for the comparison, of which at most {MAX_VERIFIED} are used (default: the sample "
        "images)",
    )
    parser.add_argument(
        "--calibrate",
        type=Path,
        metavar="DIR",
        help=f"folder of typical images to calibrate openvino-int8, of which at most {MAX_CALIBRATION} are used "
        "(default: the sample images)",
    )
    add_image_size_argument(parser)
    add_weights_arguments(parser, "nike")


def run_command(arguments: argparse.Namespace) -> int:
    """Exports the weights. Returns 1 if the exported model differs from the original."""
    if arguments.calibrate is not None and arguments.format != INT8:
        raise UserError(f"--calibrate requires --format {INT8}.")
    check_image_size(arguments.image_size)
    images = _find_images(arguments.verify, "--verify", MAX_VERIFIED)
    calibration, accept = [], None
    if arguments.format == INT8:
        calibration = _find_images(arguments.calibrate or SAMPLE_DATA, "--calibrate", MAX_CALIBRATION)
    path = find_chosen_weights(arguments)
    if is_export(path):
        raise UserError(f"--weights: {path} is an exported model. Pass the weights from which it was exported.")
    config, class_names = read_settings(path, arguments.config)
    # As in the other commands, classes with lower scores than the background are also kept.
    config = with_image_size(config, arguments.image_size)
    config = config.copy(GPU_COUNT=1, IMAGES_PER_GPU=1, DETECTION_ANY_FOREGROUND=True)
    model = load_keras_model(path, config)
    model.class_names = class_names
    output = arguments.output or Path(f"{path.stem}_{arguments.format}")
    if arguments.format == INT8:
        if set(count_labels([read_dataset(arguments.verify)])) & set(class_names):
            accept = partial(_compare_ap, path, config, class_names, arguments.verify)
        else:
            print(f"--verify: no labels of {', '.join(class_names[1:])} in {arguments.verify}; AP is not compared.")
    try:
        table = model.export(output, arguments.format, images, calibration, accept)
    except VerificationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"Compared with the original: {summary(table)}")
    if "ap" in table:
        print(f"AP on {arguments.verify}: {table['ap']:.3f} (original: {table['ap_original']:.3f})")
    print(f"Written: {output} ({megabytes(output):.1f} MB). Run it with: nike detect --weights {output} photo.jpg")
    return 0


def megabytes(path: Path) -> float:
    """Returns the size of a file, or of the files in a folder, in megabytes."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()) / 1e6


def _find_images(folder: Path, option: str, limit: int) -> list[Path]:
    """Returns up to `limit` images below a folder, evenly spaced in the order of their names."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{option}: {folder}: no such folder.")
    found = list(photos.find_files(folder))
    if not found:
        raise UserError(f"{option}: no images in {folder}.")
    return found[:: -(-len(found) // limit)]


def _compare_ap(path: Path, config: Config, names: list[str], folder: Path, exported: Path) -> dict[str, float]:
    """Returns the AP of an exported model and of the original.

    Raises:
        VerificationError: if the AP decreases by more than MAX_AP_DECREASE.
    """
    original = load_keras_model(path, config.copy(DETECTION_MIN_CONFIDENCE=MIN_CONFIDENCE), precision="off")
    aps = []
    for model in (original, ExportedModel(exported, MIN_CONFIDENCE)):
        detector = Detector(model, names, path=path)
        summarized = evaluate_folder(detector, folder, "all", None, [], lines=False)[0].summarize()
        aps.append(float(summarized["mask" if detector.has_masks else "box"]["AP"]))
    if aps[0] - aps[1] > MAX_AP_DECREASE:
        raise VerificationError(
            f"the AP on {folder} is {aps[1]:.3f}, compared with {aps[0]:.3f} for the original; expected a decrease "
            f"of at most {MAX_AP_DECREASE}. Calibrate with more images (--calibrate DIR). Nothing was written."
        )
    return {"ap": aps[1], "ap_original": aps[0]}


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike export` and `python nike/export.py`."""
    return cli.start("export", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
