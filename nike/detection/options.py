"""Command-line options of the detector, shared by all commands that run detection."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mrcnn.config import Config
from mrcnn.errors import UserError
from nike import cli
from nike.detection.detector import Detector, load_detector
from nike.detection.weights import resolve_weights

IMAGE_SIZES = range(64, 4097, 64)  # pixels


def add_weights_arguments(parser: argparse.ArgumentParser, weights: str | None) -> None:
    """Adds the options that select the weights: `--weights`, `--logs`, `--name` and `--config`.

    Args:
        parser: argument parser of the command.
        weights: default of `--weights`, or None for commands that can run without weights.
    """
    file = parser.add_argument_group("weights")
    file.add_argument(
        "--weights",
        default=weights,
        metavar="NAME",
        help="nike (bundled), coco (80 COCO classes, downloaded), best or last (best validation AP or last epoch of "
        "the newest run), a weights file, a folder written by nike export, the log folder of a run, or "
        "hf://owner/name[@revision][/file][#sha256=HEX] "
        f"(default: {weights or 'none, no predictions'})",
    )
    file.add_argument(
        "--logs", type=Path, default=Path("logs"), metavar="DIR", help="folder of the runs (default: logs)"
    )
    file.add_argument("--name", help="name of the run for best and last (default: newest run of any name)")
    file.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="JSON or YAML file with settings that override the settings in the weights file",
    )


def add_detector_arguments(
    parser: argparse.ArgumentParser, weights: str | None = "nike", min_confidence: float | None = None
) -> None:
    """Adds the options for the weights and the detector; see `load_chosen_detector`.

    Args:
        parser: argument parser of the command.
        weights: default of `--weights`, or None for commands that can run without weights.
        min_confidence: default of `--min-confidence`, or None for the value in the Config of the weights.
    """
    add_weights_arguments(parser, weights)
    detection = parser.add_argument_group("detection")
    detection.add_argument(
        "--min-confidence",
        type=float,
        default=min_confidence,
        metavar="SCORE",
        help="minimum score of a detection, 0 to 1 "
        f"(default: {'value in --config or the weights, usually 0.5' if min_confidence is None else min_confidence})",
    )
    detection.add_argument(
        "--classes",
        type=cli.comma_separated(),
        metavar="NAMES",
        help="classes to report, such as nike,adidas (default: all)",
    )
    detection.add_argument(
        "--max-detections",
        type=int,
        metavar="N",
        help="maximum number of detections per image (default: DETECTION_MAX_INSTANCES of the weights)",
    )
    detection.add_argument(
        "--tiles",
        type=_parse_tiles,
        nargs="?",
        const="auto",
        metavar="N",
        help="also run on overlapping tiles, N along the longer side, to detect small logos in large images; without N "
        "or with auto, N depends on the image size; each tile takes as long as an untiled image",
    )
    detection.add_argument(
        "--tile-overlap",
        type=float,
        default=0.2,
        metavar="FRACTION",
        help="fraction of a tile that overlaps its neighbour, 0 to 0.9 (default: 0.2)",
    )
    detection.add_argument(
        "--tta",
        action="store_true",
        help="test-time augmentation: average the detections of flipped and rescaled images; more accurate masks, "
        "lower scores, 6 times slower",
    )
    detection.add_argument(
        "--batch", type=int, default=1, metavar="N", help="batch size; larger batches are faster on a GPU (default: 1)"
    )
    cli.add_device_argument(detection)


def add_image_size_argument(parser: argparse.ArgumentParser) -> None:
    """Adds `--image-size`; see `check_image_size` and `with_image_size`."""
    parser.add_argument(
        "--image-size",
        type=int,
        metavar="PIXELS",
        help="side of the square network input, a multiple of 64; larger inputs help to detect small logos but are "
        "slower (default: value in --config, else the size used in training)",
    )


def check_image_size(side: int | None) -> None:
    """Raises UserError if `--image-size` is not a valid size of the network input."""
    if side is not None and side not in IMAGE_SIZES:
        raise UserError(f"--image-size: expected a multiple of 64 from 64 to {IMAGE_SIZES[-1]}, got {side}.")


def with_image_size(config: Config, side: int | None) -> Config:
    """Returns the config with a square network input of `side` pixels, or the config itself if `side` is None."""
    if side is None:
        return config
    return config.copy(IMAGE_MIN_DIM=side, IMAGE_MAX_DIM=side, IMAGE_RESIZE_MODE="square")


def find_chosen_weights(arguments: argparse.Namespace) -> Path:
    """Returns the path of the weights selected by the options of `add_weights_arguments`.

    For "last" and "best", the path is printed to stderr.

    Raises:
        FileNotFoundError: if the file does not exist.
    """
    path = resolve_weights(arguments.weights, arguments.logs, arguments.name)
    if arguments.weights in ("last", "best"):
        print(f"--weights={arguments.weights}: {path}", file=sys.stderr)
    return path


def load_chosen_detector(arguments: argparse.Namespace, threshold_factor: float = 1.0) -> Detector:
    """Loads the detector configured by the options of `add_detector_arguments`.

    Args:
        arguments: parsed options.
        threshold_factor: see `load_detector`.

    Raises:
        FileNotFoundError: if the weights do not exist.
        ValueError: if an option is out of range, or the weights cannot be used.
    """
    return load_detector(
        find_chosen_weights(arguments),
        arguments.config,
        min_confidence=arguments.min_confidence,
        classes=arguments.classes,
        max_detections=arguments.max_detections,
        tiles=arguments.tiles,
        tile_overlap=arguments.tile_overlap,
        tta=arguments.tta,
        batch=arguments.batch,
        device=arguments.device,
        threshold_factor=threshold_factor,
    )


def _parse_tiles(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number or 'auto' (--tiles auto PATH ...), got {text!r}") from None
