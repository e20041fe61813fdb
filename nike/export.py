"""`nike export`: exports weights for other runtimes and verifies the result."""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path

from mrcnn.errors import UserError
from mrcnn.export import FORMATS, VerificationError, is_export
from mrcnn.export.verify import summary
from nike import cli  # imported first to suppress TensorFlow's messages
from nike.datasets import photos
from nike.datasets.nike_dataset import SAMPLE_DATA
from nike.detection.detector import load_model, read_settings
from nike.detection.options import add_weights_arguments, chosen_weights

VERIFIED = 8  # images; a wrong conversion shows on most of them
DESCRIPTION = """\
Export weights for another runtime. The exported model is compared with the original on images
and written only if they agree. `--weights DIR` of the other commands runs it."""
EPILOG = """\
formats:
  openvino     for CPUs, without TensorFlow (pip install openvino)
  saved_model  for TensorFlow Serving, and for programs without this package

examples:
  nike export --output nike_openvino
  nike detect photo.jpg --weights nike_openvino
  nike export --weights=best --format saved_model --output model --verify my_photos

Exit code: 0 written; 1 the exported model differs from the original, nothing was written; 2 invalid options.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike export`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("--format", choices=FORMATS, default="openvino", help="format, see below (default: openvino)")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="folder to write (default: name of the weights and the format)"
    )
    parser.add_argument(
        "--verify",
        type=Path,
        default=SAMPLE_DATA,
        metavar="DIR",
        help=f"images to compare on, the first {VERIFIED} (default: the sample images)",
    )
    add_weights_arguments(parser, "nike")


def run_command(arguments: argparse.Namespace) -> int:
    """Exports the weights. Returns 1 if the exported model differs from the original."""
    if not arguments.verify.is_dir():
        raise FileNotFoundError(f"--verify: {arguments.verify}: no such folder.")
    images = list(islice(photos.find_files(arguments.verify), VERIFIED))
    if not images:
        raise UserError(f"--verify: no images in {arguments.verify}.")
    path = chosen_weights(arguments)
    if is_export(path):
        raise UserError(f"--weights: {path} is an exported model. Export the weights it was made from.")
    config, class_names = read_settings(path, arguments.config)
    # As in the other commands: classes that score below the background are kept too.
    model = load_model(path, config.copy(GPU_COUNT=1, IMAGES_PER_GPU=1, DETECTION_ANY_FOREGROUND=True))
    model.class_names = class_names
    output = arguments.output or Path(f"{path.stem}_{arguments.format}")
    try:
        table = model.export(output, arguments.format, images)
    except VerificationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    print(f"Compared with the original: {summary(table)}")
    print(f"Written: {output} ({size / 1e6:.1f} MB). Run it with: nike detect --weights {output} photo.jpg")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike export` and `python nike/export.py`."""
    return cli.start("export", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
