"""`nike synthesize`: renders labelled synthetic images of a logo."""

from __future__ import annotations

import argparse
import multiprocessing
import re
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mrcnn.atomic import replacing
from mrcnn.detections.labelme import keypoint_shapes
from mrcnn.errors import UserError
from nike import cli
from nike.datasets.labelme import write_labelme
from nike.datasets.labels import IGNORE
from nike.detection.progress import ProgressBar
from nike.output_checks import check_output_folder
from nike.synthesis.backgrounds import find_backgrounds
from nike.synthesis.compose import Assets, render_image
from nike.synthesis.cutouts import load_cutouts
from nike.synthesis.logo import DEFAULT_LOGO, add_landmarks, load_logo
from nike.synthesis.masks import Instance

MIN_SIDE, MAX_SIDE = 64, 4096  # range of the image sides in pixels
JPEG_QUALITY = 92
DESCRIPTION = """\
Place a logo on background photos and annotate it in labelme JSON. Perspective, curvature,
print effects, shadow, blur and objects in front of the logo vary. A fraction of the images
shows only distractors, which are shapes other than the logo. The output is deterministic
for given options and independent of the number of workers."""
EPILOG = """\
example:
  nike synthesize --output data/train --count 2000 --backgrounds photos/without_logo --workers 4

Logos that are tiny, mostly occluded or hardly visible are labelled 'ignore' and excluded
from training. Background photos must not show the logo. Photos with labelled objects and
validation photos of the dataset are skipped."""


@dataclass(frozen=True)
class Settings:
    """Settings of the renderer. They determine each image, independently of the number of images and workers.

    Attributes:
        output: folder for the images `synthetic_SEED_INDEX.jpg` and their labelme JSON files.
        seed: random seed, 0 or more.
        height: image height in pixels.
        width: image width in pixels.
        negatives: fraction of images without the logo, 0..1, evenly distributed.
        label: label of the logo.
        logo: SVG file or raster image with an alpha channel.
        backgrounds: folder with background photos that do not show the logo, or None for the photos of scikit-image and
            plain gradients.
        cutouts: labelme dataset whose instances are drawn instead of the logo half of the time, or None.
        keypoints: whether to write the landmarks of the bundled logo as points.
    """

    output: Path
    seed: int = 0
    height: int = 640
    width: int = 640
    negatives: float = 0.15
    label: str = "nike"
    logo: Path = DEFAULT_LOGO
    backgrounds: Path | None = None
    cutouts: Path | None = None
    keypoints: bool = False

    def __post_init__(self):
        if self.seed < 0:
            raise UserError(f"--seed must be 0 or more, got {self.seed}.")
        if not 0 <= self.negatives <= 1:
            raise UserError(
                f"--negatives must be a fraction from 0 to 1, got {self.negatives}. 0.15 means 15 of 100 images."
            )
        if not all(MIN_SIDE <= side <= MAX_SIDE for side in (self.height, self.width)):
            raise UserError(f"--size must be {MIN_SIDE} to {MAX_SIDE} pixels per side, got {self.width}x{self.height}.")
        if self.keypoints and (self.logo != DEFAULT_LOGO or self.cutouts is not None):
            raise UserError(
                "--keypoints: only the landmarks of the bundled logo are known. Remove --logo and --cutouts."
            )
        if not self.label.strip() or self.label in IGNORE:
            raise UserError(f"--label must be a name other than {', '.join(IGNORE)}, got {self.label!r}.")


def synthesize(settings: Settings, count: int, workers: int = 1) -> Iterator[Path]:
    """Renders images, writes them with their labelme files, and yields the path of each image.

    The logo and the cutouts are read before the first image is written. Background photos are read when they are used.

    Args:
        settings: settings of the renderer.
        count: number of images.
        workers: number of processes. With 1, images are rendered in the calling process.

    Raises:
        FileNotFoundError: if the logo, the background folder or the cutout dataset does not exist.
        ValueError: if an argument is out of range, or if the logo, a background or the cutouts are invalid.
    """
    if count < 1:
        raise UserError(f"--count must be 1 or more, got {count}.")
    if workers < 1:
        raise UserError(f"--workers must be 1 or more, got {workers}.")
    assets = load_assets(settings)
    settings.output.mkdir(parents=True, exist_ok=True)
    if workers == 1:
        yield from (_write_image(index, settings, assets) for index in range(count))
        return
    # OpenCV's threads do not survive a fork.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker, (settings,)) as pool:
        yield from pool.map(_write_in_worker, range(count), chunksize=4)


def render(settings: Settings, index: int, assets: Assets) -> tuple[np.ndarray, list[Instance]]:
    """Renders image number `index` and returns it (`[H, W, 3]` uint8 RGB) with its instances."""
    negative = int((index + 1) * settings.negatives + 1e-9) > int(index * settings.negatives + 1e-9)
    rng = np.random.default_rng([settings.seed, index])
    return render_image(rng, settings.height, settings.width, assets, negative)


def load_assets(settings: Settings) -> Assets:
    """Reads the logo and the cutouts and finds the background photos.

    Raises:
        FileNotFoundError: if the logo, the background folder or the cutout dataset does not exist.
        ValueError: if the logo or the cutouts are invalid, or if there is no background photo.
    """
    logo = load_logo(settings.logo)
    return Assets(
        add_landmarks(logo) if settings.keypoints else logo,
        settings.label,
        load_cutouts(settings.cutouts, settings.label) if settings.cutouts else (),
        find_backgrounds(settings.backgrounds),
    )


_worker: tuple[Settings, Assets] | None = None


def _start_worker(settings: Settings) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # after Ctrl-C, the main process stops the workers
    cv2.setNumThreads(1)  # the worker processes already use all cores
    _worker = settings, load_assets(settings)


def _write_in_worker(index: int) -> Path:
    settings, assets = _worker
    return _write_image(index, settings, assets)


def _write_image(index: int, settings: Settings, assets: Assets) -> Path:
    """Renders one image and writes it and its labelme file, each atomically."""
    image, instances = render(settings, index, assets)
    path = settings.output / f"synthetic_{settings.seed}_{index:05d}.jpg"
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, "JPEG", quality=JPEG_QUALITY)
    write_labelme(path.with_suffix(".json"), path.name, settings.height, settings.width, to_shapes(instances))
    return path


def to_shapes(instances: Sequence[Instance]) -> list[dict]:
    """Converts instances to entries of labelme's `shapes`. The shapes of an instance have a common `group_id`."""
    polygons = [
        {
            "label": instance.label,
            "points": np.asarray(polygon, float).round(2).tolist(),
            "group_id": number if len(instance.polygons) > 1 or instance.landmarks else None,
            "description": "",
            "shape_type": "polygon",
            "flags": {},
            "mask": None,
        }
        for number, instance in enumerate(instances, 1)
        for polygon in instance.polygons
    ]
    points = [
        shape
        for number, instance in enumerate(instances, 1)
        for shape in keypoint_shapes({name: (*point, 2) for name, point in instance.landmarks.items()}, number)
    ]
    return polygons + points


def _parse_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT such as 640x480, got {text!r}")
    return int(match[1]), int(match[2])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike synthesize`."""
    parser.description = DESCRIPTION
    parser.epilog = EPILOG
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="output folder for images and JSON files"
    )
    parser.add_argument("--count", type=int, default=100, metavar="N", help="number of images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default: %(default)s)")
    parser.add_argument(
        "--size", type=_parse_size, default=(640, 640), metavar="WxH", help="image size in pixels (default: 640x640)"
    )
    parser.add_argument(
        "--negatives",
        type=float,
        default=0.15,
        metavar="FLOAT",
        help="fraction of images without the logo, 0 to 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--backgrounds",
        type=Path,
        metavar="DIR",
        help="folder with photos that do not show the logo (default: the photos of scikit-image, and gradients)",
    )
    parser.add_argument(
        "--logo",
        type=Path,
        default=DEFAULT_LOGO,
        metavar="FILE",
        help="logo as .svg (path elements only) or as .png with an alpha channel (default: the bundled logo)",
    )
    parser.add_argument(
        "--cutouts",
        type=Path,
        metavar="DIR",
        help="labelme dataset; its training instances are cut out and replace the logo half of the time",
    )
    parser.add_argument(
        "--keypoints",
        action="store_true",
        help="write the landmarks hook, belly and tail of the bundled logo as points",
    )
    parser.add_argument("--label", default="nike", metavar="NAME", help="label of the logo (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="worker processes (default: %(default)s)")


def run_command(arguments: argparse.Namespace) -> int:
    """Runs the command and returns the exit code."""
    output, (width, height) = arguments.output, arguments.size
    check_output_folder(output, "--output")
    settings = Settings(
        output,
        arguments.seed,
        height,
        width,
        arguments.negatives,
        arguments.label,
        arguments.logo,
        arguments.backgrounds,
        arguments.cutouts,
        arguments.keypoints,
    )
    paths = synthesize(settings, arguments.count, arguments.workers)
    with ProgressBar(arguments.count, "image", lines=False) as progress:
        for path in paths:
            progress.step(str(path))
    print(f"{arguments.count} images in {output}. View them with: nike annotate {shlex.quote(str(output))}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike synthesize` and `python nike/synthesize.py`."""
    return cli.start("synthesize", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
