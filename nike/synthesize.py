"""`nike synthesize`: renders labelled photos of a logo, and photos of what only resembles it."""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mrcnn.data.reading import read_image
from nike import cli
from nike.atomic import replacing
from nike.datasets import photos
from nike.datasets.labelme import read_labelme, write_labelme
from nike.datasets.labels import IGNORE
from nike.datasets.nike_dataset import not_for_validation
from nike.datasets.records import AnnotationError
from nike.synthesis.compose import Ingredients, Instance, render_photo
from nike.synthesis.cutouts import load_cutouts
from nike.synthesis.logo import DEFAULT_LOGO, load_mark

SMALLEST, LARGEST = 64, 4096  # pixels a side of a photo
JPEG_QUALITY = 92
BACKGROUND_SIDE = 2000  # backgrounds are kept in memory no larger than this
DESCRIPTION = """\
Renders photos of products with the logo printed, sewn or embossed on them, exactly
outlined in labelme JSON, and photos of look-alikes without it. The same options give
the same files, whatever the number of workers."""
EPILOG = """\
example:
  nike synthesize --output data/train --count 2000 --backgrounds photos/without_logo --workers 4

Logos that are tiny, hidden or hardly visible are labelled 'ignore', which training leaves
out. Backgrounds must not show the logo; those with labelled objects are left out."""


@dataclass(frozen=True)
class Settings:
    """What fixes every photo: equal settings give equal bytes, whatever the number of workers or photos.

    Attributes:
        output: Folder for `synthetic_SEED_INDEX.jpg` and a labelme JSON beside each.
        seed: Any number from 0.
        height: Of each photo, pixels.
        width: Likewise.
        negatives: Share of photos without the logo, 0..1; they are spread evenly.
        label: What the logo's instances are called.
        logo: An .svg or a picture with alpha.
        backgrounds: Folder of photos without the logo, or None for procedural scenes only.
        cutouts: Labelme dataset whose instances take the logo's place now and then, or None.
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

    def __post_init__(self):
        if self.seed < 0:
            raise ValueError(f"--seed must be 0 or more, got {self.seed}.")
        if not 0 <= self.negatives <= 1:
            raise ValueError(
                f"--negatives must be a share from 0 to 1, got {self.negatives}. 0.15 means 15 of 100 photos."
            )
        if not all(SMALLEST <= side <= LARGEST for side in (self.height, self.width)):
            raise ValueError(f"--size must be {SMALLEST} to {LARGEST} pixels a side, got {self.width}x{self.height}.")
        if not self.label.strip() or self.label in IGNORE:
            raise ValueError(f"--label must be a name other than {', '.join(IGNORE)}, got {self.label!r}.")


def synthesize(settings: Settings, count: int, workers: int = 1) -> Iterator[Path]:
    """Writes photos and their labelme files; yields each photo's path once both are there.

    Args:
        settings: What to render.
        count: How many photos.
        workers: Processes; with 1 all is done here.

    Raises:
        ValueError, FileNotFoundError: a setting, the logo, a background or the cutouts cannot be used. All of it is
            read before the first photo is written, but for the pixels of backgrounds.
    """
    if count < 1:
        raise ValueError(f"--count must be 1 or more, got {count}.")
    if workers < 1:
        raise ValueError(f"--workers must be 1 or more, got {workers}.")
    ingredients = load_ingredients(settings)
    settings.output.mkdir(parents=True, exist_ok=True)
    if workers == 1:
        yield from (_write(index, settings, ingredients) for index in range(count))
        return
    # Spawned, not forked: OpenCV's threads do not survive a fork.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker, (settings,)) as pool:
        yield from pool.map(_write_in_worker, range(count), chunksize=4)


def render(settings: Settings, index: int, ingredients: Ingredients) -> tuple[np.ndarray, list[Instance]]:
    """Photo number `index` of a set: uint8 `[H, W, 3]` and its instances."""
    negative = int((index + 1) * settings.negatives + 1e-9) > int(index * settings.negatives + 1e-9)
    rng = np.random.default_rng([settings.seed, index])
    return render_photo(rng, settings.height, settings.width, ingredients, negative)


def load_ingredients(settings: Settings) -> Ingredients:
    """Reads the logo and the cutouts, and finds the backgrounds.

    Raises:
        ValueError, FileNotFoundError: one of them cannot be used.
    """
    return Ingredients(
        load_mark(settings.logo),
        settings.label,
        load_cutouts(settings.cutouts, settings.label) if settings.cutouts else (),
        tuple(functools.partial(_background, path) for path in _find_backgrounds(settings.backgrounds)),
    )


def _find_backgrounds(folder: Path | None) -> list[Path]:
    """Photos of a folder, without those for validation and those whose labelme file says that an object is on them."""
    if folder is None:
        return []
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder of backgrounds. Give one with photos that do not show the logo."
        )
    candidates = not_for_validation(photos.find_files(folder), folder)
    found = [path for path in candidates if not _has_objects(path, folder)]
    if not found:
        raise ValueError(
            f"{folder}: no photo that could be a background (those with labelled objects are left out). "
            "Give a folder with photos that do not show the logo."
        )
    return found


def _has_objects(photo: Path, folder: Path) -> bool:
    path = photo.with_suffix(".json")
    if not path.is_file():
        return False
    try:
        described = read_labelme(path, folder)
    except AnnotationError:
        return True  # nobody knows what is on it
    return described is not None and bool(described.instances or described.problems)


@functools.lru_cache(maxsize=32)
def _background(path: Path) -> np.ndarray:
    image = read_image(path)
    factor = BACKGROUND_SIDE / max(image.shape[:2])
    return image if factor >= 1 else cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


_worker: tuple[Settings, Ingredients] | None = None


def _start_worker(settings: Settings) -> None:
    global _worker
    cv2.setNumThreads(1)  # the processes share the cores already
    _worker = settings, load_ingredients(settings)


def _write_in_worker(index: int) -> Path:
    settings, ingredients = _worker
    return _write(index, settings, ingredients)


def _write(index: int, settings: Settings, ingredients: Ingredients) -> Path:
    """Renders one photo and writes it and its labelme file, each complete or not at all."""
    image, instances = render(settings, index, ingredients)
    path = settings.output / f"synthetic_{settings.seed}_{index:05d}.jpg"
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, "JPEG", quality=JPEG_QUALITY)
    write_labelme(path.with_suffix(".json"), path.name, settings.height, settings.width, to_shapes(instances))
    return path


def to_shapes(instances: Sequence[Instance]) -> list[dict]:
    """Instances as entries of labelme's `shapes`; pieces of one share a `group_id`."""
    return [
        {
            "label": instance.label,
            "points": np.asarray(polygon, float).round(2).tolist(),
            "group_id": number if len(instance.polygons) > 1 else None,
            "description": "",
            "shape_type": "polygon",
            "flags": {},
            "mask": None,
        }
        for number, instance in enumerate(instances, 1)
        for polygon in instance.polygons
    ]


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT such as 640x480, got {text!r}")
    return int(match[1]), int(match[2])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike synthesize`."""
    parser.description = DESCRIPTION
    parser.epilog = EPILOG
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for the photos and their JSON files"
    )
    parser.add_argument("--count", type=int, default=100, metavar="N", help="number of photos (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="another seed, other photos (default: %(default)s)"
    )
    parser.add_argument(
        "--size", type=_size, default=(640, 640), metavar="WxH", help="pixels of each photo (default: 640x640)"
    )
    parser.add_argument(
        "--negatives",
        type=float,
        default=0.15,
        metavar="SHARE",
        help="share of photos without the logo, 0 to 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--backgrounds",
        type=Path,
        metavar="DIR",
        help="photos without the logo to draw on, but for those a dataset validates on (default: drawn scenes only)",
    )
    parser.add_argument(
        "--logo",
        type=Path,
        default=DEFAULT_LOGO,
        metavar="FILE",
        help=".svg (the paths in it) or .png with alpha (default: the logo that ships)",
    )
    parser.add_argument(
        "--cutouts",
        type=Path,
        metavar="DIR",
        help="labelme dataset: real instances are cut out of its training photos and put onto other photos",
    )
    parser.add_argument("--label", default="nike", metavar="NAME", help="label of the logo (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")


def run_command(arguments: argparse.Namespace) -> int:
    """Does what the options ask for; returns the exit code."""
    from tqdm import tqdm

    width, height = arguments.size
    settings = Settings(
        arguments.output,
        arguments.seed,
        height,
        width,
        arguments.negatives,
        arguments.label,
        arguments.logo,
        arguments.backgrounds,
        arguments.cutouts,
    )
    done = synthesize(settings, arguments.count, arguments.workers)
    total = sum(1 for _ in tqdm(done, total=arguments.count, unit="photo", disable=not sys.stderr.isatty()))
    print(f"{total} photos in {arguments.output}. Look at them: nike annotate {arguments.output}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike synthesize` and `python nike/synthesize.py`."""
    return cli.start("synthesize", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
