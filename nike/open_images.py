"""`nike open-images`: downloads images and masks of chosen Open Images V5 classes as a labelme dataset.

Open Images has 9 million images (half a terabyte). The CSV lists are downloaded completely and read row by row. Only
the selected images and the archives that contain their masks are downloaded. Downloads are cached, and an interrupted
command continues where it stopped.
"""

from __future__ import annotations

import argparse
import csv
import difflib
import io
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image

from mrcnn.errors import UserError
from nike import cli
from nike.datasets import photos
from nike.datasets.labelme import masks_to_shapes, write_labelme
from nike.formatting import plural, short

SUBSETS = ("train", "validation", "test")
LISTS = "https://storage.googleapis.com/openimages/v5"
CLASSES_CSV = "class-descriptions-boxable.csv"  # columns: class id such as /m/01xyz, class name
MASKS_CSV = "{subset}-annotations-object-segmentation.csv"  # columns: MaskPath,ImageID,LabelName,...
MASKS_ZIP = "{subset}-masks-{digit}.zip"  # digit: first hexadecimal digit of the image id
PHOTO_URL = "https://s3.amazonaws.com/open-images-dataset/{subset}/{image_id}.jpg"

DESCRIPTION = """\
Download the images and masks of chosen classes of Open Images V5 and write them as
images with labelme files. An interrupted download continues with the same command."""
EPILOG = """\
example:
  nike open-images --classes Footwear,Hat --subset validation --limit 200 --output shoes

The lists of Open Images (0.1 to 1 GB) are downloaded once.

Exit code: 0 all images written; 1 some images were skipped (listed on stderr); 2 the command failed."""

MAX_PNG_BYTES = 20_000_000
MAX_ASPECT_ERROR = 0.02  # a mask has the aspect ratio of its image, but often a different size

_IMAGE_ID = re.compile(r"[0-9a-f]{16}")
_MASK_NAME = re.compile(r"[\w-]{1,100}\.png")

Fetch = Callable[[str, Path], Path]  # (URL, file) -> file


@dataclass(frozen=True)
class MaskRow:
    """One instance: image id, class name and name of the mask PNG."""

    image_id: str
    label: str
    mask: str


@dataclass
class ConversionResult:
    """Result of `convert`: numbers of images and instances, and messages for skipped images."""

    photos: int = 0
    instances: int = 0
    kept: int = 0  # images converted by an earlier call
    problems: list[str] = field(default_factory=list)


def find_class_ids(path: Path, names: Iterable[str]) -> dict[str, str]:
    """Looks up the class ids of class names.

    Args:
        path: `class-descriptions-boxable.csv`.
        names: class names, case-insensitive.

    Returns:
        Official class name by class id (`/m/...`).

    Raises:
        ValueError: if a class does not exist.
    """
    known: dict[str, tuple[str, str]] = {}
    for row in _read_csv(path):
        if len(row) >= 2 and row[0].startswith("/"):
            known[row[1].casefold()] = (row[0], row[1])
    found = {}
    for name in names:
        if name.casefold() not in known:
            near = difflib.get_close_matches(name.casefold(), known, n=3)
            hint = f"did you mean {', '.join(known[n][1] for n in near)}?" if near else f"{path.name} lists the names."
            raise UserError(f"--classes: {short(name)} is not one of the {len(known)} Open Images classes; {hint}")
        found[known[name.casefold()][0]] = known[name.casefold()][1]
    return found


def read_mask_rows(path: Path, classes: dict[str, str]) -> Iterator[MaskRow]:
    """Yields the rows of the given classes in a list of masks.

    Args:
        path: `SUBSET-annotations-object-segmentation.csv`.
        classes: class name by class id.

    Raises:
        ValueError: if the file lacks a column.
    """
    rows = _read_csv(path)
    header = next(rows, [])
    columns = ("MaskPath", "ImageID", "LabelName")
    if any(name not in header for name in columns):
        raise UserError(f"{path.name}: expected the columns {', '.join(columns)}, got {short(header)}.")
    mask, image_id, label = (header.index(name) for name in columns)
    for row in rows:
        if len(row) < len(header) or row[label] not in classes:
            continue
        # The names are validated, because they become parts of paths and URLs.
        if _IMAGE_ID.fullmatch(row[image_id]) and _MASK_NAME.fullmatch(row[mask]):
            yield MaskRow(row[image_id], classes[row[label]], row[mask])


def group_by_image(rows: Iterable[MaskRow], limit: int | None = None) -> dict[str, list[MaskRow]]:
    """Groups rows by image id. With a limit, only the first `limit` images are kept."""
    grouped: dict[str, list[MaskRow]] = {}
    for row in rows:
        if row.image_id in grouped or limit is None or len(grouped) < limit:
            grouped.setdefault(row.image_id, []).append(row)
    return grouped


def _read_csv(path: Path) -> Iterator[list[str]]:
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        try:
            yield from csv.reader(file)
        except csv.Error as error:
            raise UserError(f"{path.name}: not a CSV file ({error}). Delete it and start again.") from None


def convert(
    grouped: dict[str, list[MaskRow]],
    output: Path,
    subset: str,
    cache: Path,
    fetch: Fetch,
    on_photo: Callable[[], object] = lambda: None,
) -> ConversionResult:
    """Writes each image and its labelme file into `output`. Existing files are skipped.

    Args:
        grouped: selected rows by image id; see `group_by_image`.
        output: folder of the dataset.
        subset: subset of Open Images: train, validation or test.
        cache: folder of the mask archives. Missing archives are downloaded into it.
        fetch: downloads a file, or raises OSError or ValueError.
        on_photo: called after each image, for a progress bar.

    Returns:
        Counts, and a message for each skipped image.
    """
    result = ConversionResult()
    archive: tuple[str, zipfile.ZipFile] | None = None
    try:
        for image_id in sorted(grouped):  # sorted, so that each archive is opened once
            if (output / f"{image_id}.json").exists():
                result.kept += 1
            else:
                digit = image_id[0]
                if archive is None or archive[0] != digit:
                    archive = (digit, _open_masks(cache, subset, digit, fetch))
                try:
                    photo = _fetch_image(output, subset, image_id, fetch)
                    result.instances += _write_annotation(photo, grouped[image_id], archive[1])
                    result.photos += 1
                except (OSError, ValueError) as error:
                    result.problems.append(f"{image_id}: {error}")
            on_photo()
    finally:
        if archive is not None:
            archive[1].close()
    return result


def _open_masks(cache: Path, subset: str, digit: str, fetch: Fetch) -> zipfile.ZipFile:
    name = MASKS_ZIP.format(subset=subset, digit=digit)
    path = cache / name
    if not path.is_file():
        fetch(f"{LISTS}/{subset}-masks/{name}", path)
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise UserError(f"{path}: not a zip archive. Delete it and start again.") from None


def _fetch_image(output: Path, subset: str, image_id: str, fetch: Fetch) -> Path:
    path = output / f"{image_id}.jpg"
    return path if path.is_file() else fetch(PHOTO_URL.format(subset=subset, image_id=image_id), path)


def _write_annotation(photo: Path, rows: list[MaskRow], archive: zipfile.ZipFile) -> int:
    """Writes the labelme file of one image and returns the number of its instances."""
    height, width = photos.upright_size(photo)
    masks = np.stack([read_mask(archive, row.mask, height, width) for row in rows], axis=2)
    shapes = masks_to_shapes([row.label for row in rows], masks)
    write_labelme(photo.with_suffix(".json"), photo.name, height, width, shapes)
    return len(rows)


def read_mask(archive: zipfile.ZipFile, name: str, height: int, width: int) -> np.ndarray:
    """Reads a mask from an archive and resizes it to its image.

    Args:
        archive: open zip archive.
        name: name of the PNG file in the archive.
        height: image height in pixels.
        width: image width in pixels.

    Returns:
        bool `[H, W]`.

    Raises:
        ValueError: if the mask is missing, is not a PNG file, or its aspect ratio differs from the image.
    """
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise UserError(f"{name} is not in {Path(archive.filename or '').name}.") from None
    if info.file_size > MAX_PNG_BYTES:
        raise UserError(f"{name} unpacks to {info.file_size:,} bytes; expected at most {MAX_PNG_BYTES:,}.")
    try:
        with PIL.Image.open(io.BytesIO(archive.read(info)), formats=["PNG"]) as image:
            size = image.size
            fits = abs(size[0] * height / (size[1] * width) - 1) <= MAX_ASPECT_ERROR
            if fits and size[0] * size[1] <= 4 * height * width:  # limits the memory used by decompression bombs
                nearest = PIL.Image.Resampling.NEAREST
                return np.asarray(image.convert("L").resize((width, height), nearest)) > 0
    except Exception as error:  # damaged archives and images raise many types of exceptions
        raise UserError(f"{name} cannot be read ({short(str(error))}).") from None
    raise UserError(
        f"mask {name} is {size[0]}x{size[1]} pixels, which does not match the {width}x{height} image. The image was "
        "rotated or replaced."
    )


# --- command ---


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike open-images`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument(
        "--classes",
        type=cli.comma_separated(),
        required=True,
        metavar="NAMES",
        help="Open Images class names, separated by commas",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="output folder for images and labelme files"
    )
    parser.add_argument("--subset", choices=SUBSETS, default="train", help="subset of Open Images (default: train)")
    parser.add_argument("--limit", type=int, metavar="N", help="maximum number of images (default: all)")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="folder for downloaded lists and masks (default: OUTPUT/.open_images)",
    )
    parser.add_argument("--offline", action="store_true", help="use only cached files, without downloads")


def _make_fetch(offline: bool) -> Fetch:
    def fetch(url: str, path: Path) -> Path:
        if offline:
            raise FileNotFoundError(f"{path}: no such file. Download it from {url}, or omit --offline.")
        from mrcnn.checkpoints.download import download

        return download(url, path, verbose=path.suffix != ".jpg" and sys.stderr.isatty())

    return fetch


def run_command(arguments: argparse.Namespace) -> int:
    """Downloads and converts the selected images. Returns 1 if some were skipped, else 0."""
    from tqdm import tqdm

    if arguments.limit is not None and arguments.limit < 1:
        raise UserError(f"--limit: expected 1 or more images, got {arguments.limit}.")
    cache, fetch = arguments.cache or arguments.output / ".open_images", _make_fetch(arguments.offline)
    lists = []
    for name in (CLASSES_CSV, MASKS_CSV.format(subset=arguments.subset)):
        lists.append(cache / name if (cache / name).is_file() else fetch(f"{LISTS}/{name}", cache / name))
    grouped = group_by_image(read_mask_rows(lists[1], find_class_ids(lists[0], arguments.classes)), arguments.limit)
    if not grouped:
        raise UserError(
            f"no masks of {', '.join(arguments.classes)} in subset {arguments.subset}. Only 350 classes of Open Images "
            "have masks."
        )
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tqdm(total=len(grouped), unit="photo", disable=not sys.stderr.isatty()) as bar:
        result = convert(grouped, arguments.output, arguments.subset, cache, fetch, bar.update)
    for problem in result.problems:
        print(f"skipped: {problem}", file=sys.stderr)
    existing = f", {result.kept} already existed" if result.kept else ""
    done = f"{plural(result.photos, 'image')} with {plural(result.instances, 'mask')}"
    print(f"{done} written to {arguments.output}{existing}.")
    return 1 if result.problems else 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike open-images` and `python nike/open_images.py`."""
    return cli.start("open-images", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
