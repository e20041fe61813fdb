"""`nike open-images`: takes the photos and masks of a few classes out of Open Images V5, as labelme folders.

The whole set has 9 million photos in half a terabyte. Only its lists (CSV) are read whole, row by row; of the masks
those archives are fetched that hold wanted photos, and of the photos the wanted ones. Everything that was fetched is
kept, and a call that was broken off goes on where it stopped.
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

from nike import cli
from nike.datasets import photos
from nike.datasets.labelme import masks_to_shapes, write_labelme
from nike.text import plural, short

SUBSETS = ("train", "validation", "test")
LISTS = "https://storage.googleapis.com/openimages/v5"
CLASSES_CSV = "class-descriptions-boxable.csv"  # rows: /m/01xyz,Name
MASKS_CSV = "{subset}-annotations-object-segmentation.csv"  # rows: MaskPath,ImageID,LabelName,...
MASKS_ZIP = "{subset}-masks-{digit}.zip"  # by the first digit of the photo's id
PHOTO_URL = "https://s3.amazonaws.com/open-images-dataset/{subset}/{image_id}.jpg"

DESCRIPTION = """\
Takes the photos and masks of a few classes out of Open Images V5 and writes them as
photos with labelme files. If it is stopped, the same command goes on where it was."""
EPILOG = """\
example:
  nike open-images --classes Footwear,Hat --subset validation --limit 200 --output shoes

The lists are large: 0.1 to 1 GB, downloaded once. Exit code: 0 all written; 1 some photos
were left out (they are listed); 2 nothing could be done."""

MAX_PNG_BYTES = 20_000_000
MAX_ASPECT_ERROR = 0.02  # a mask has its photo's shape, often at another size

_IMAGE_ID = re.compile(r"[0-9a-f]{16}")
_MASK_NAME = re.compile(r"[\w-]{1,100}\.png")

Fetch = Callable[[str, Path], Path]  # (address, file) -> file


@dataclass(frozen=True)
class MaskRow:
    """One instance: the photo it is on, its class name, the name of its mask's PNG."""

    image_id: str
    label: str
    mask: str


@dataclass
class Tally:
    """What `convert` did."""

    photos: int = 0
    instances: int = 0
    kept: int = 0  # photos converted by an earlier call
    problems: list[str] = field(default_factory=list)


def class_ids(path: Path, names: Iterable[str]) -> dict[str, str]:
    """The ids (`/m/...`) of classes, from `class-descriptions-boxable.csv`: id -> name as Open Images spells it.

    Raises:
        ValueError: a class does not exist; names those that are spelt like it.
    """
    known: dict[str, tuple[str, str]] = {}
    for row in _rows(path):
        if len(row) >= 2 and row[0].startswith("/"):
            known[row[1].casefold()] = (row[0], row[1])
    found = {}
    for name in names:
        if name.casefold() not in known:
            near = difflib.get_close_matches(name.casefold(), known, n=3)
            hint = f"did you mean {', '.join(known[n][1] for n in near)}?" if near else f"{path.name} lists the names."
            raise ValueError(f"Open Images has no class {short(name)} among {len(known)}; {hint}")
        found[known[name.casefold()][0]] = known[name.casefold()][1]
    return found


def mask_rows(path: Path, classes: dict[str, str]) -> Iterator[MaskRow]:
    """Rows of the wanted classes in a list of masks, read one by one.

    Raises:
        ValueError: the file is no such list.
    """
    rows = _rows(path)
    header = next(rows, [])
    columns = ("MaskPath", "ImageID", "LabelName")
    if any(name not in header for name in columns):
        raise ValueError(f"{path.name}: expected the columns {', '.join(columns)}, got {short(header)}.")
    mask, image_id, label = (header.index(name) for name in columns)
    for row in rows:
        if len(row) < len(header) or row[label] not in classes:
            continue
        # The names become paths and addresses, so they must be names and nothing else.
        if _IMAGE_ID.fullmatch(row[image_id]) and _MASK_NAME.fullmatch(row[mask]):
            yield MaskRow(row[image_id], classes[row[label]], row[mask])


def by_photo(rows: Iterable[MaskRow], limit: int | None = None) -> dict[str, list[MaskRow]]:
    """Rows by photo; with a limit, all rows of the first `limit` photos."""
    grouped: dict[str, list[MaskRow]] = {}
    for row in rows:
        if row.image_id in grouped or limit is None or len(grouped) < limit:
            grouped.setdefault(row.image_id, []).append(row)
    return grouped


def _rows(path: Path) -> Iterator[list[str]]:
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        try:
            yield from csv.reader(file)
        except csv.Error as error:
            raise ValueError(f"{path.name}: is no CSV file ({error}). Download it again.") from None


def convert(
    grouped: dict[str, list[MaskRow]],
    output: Path,
    subset: str,
    cache: Path,
    fetch: Fetch,
    on_photo: Callable[[], object] = lambda: None,
) -> Tally:
    """Writes each photo with a labelme file into `output`. Photos that are there already are passed over.

    Args:
        grouped: the wanted rows, see `by_photo`.
        output: the dataset's folder.
        subset: of Open Images: train, validation or test.
        cache: where archives of masks are looked for and kept; also a folder of unpacked PNG files.
        fetch: downloads a file; raises OSError or ValueError if it cannot be had.
        on_photo: called after each photo, for a progress bar.

    Returns:
        Counts, and what went wrong with photos that were left out.
    """
    tally = Tally()
    archive: tuple[str, zipfile.ZipFile] | None = None
    try:
        for image_id in sorted(grouped):  # so that each archive is opened once
            if (output / f"{image_id}.json").exists():
                tally.kept += 1
            else:
                digit = image_id[0]
                if archive is None or archive[0] != digit:
                    archive = (digit, _open_masks(cache, subset, digit, fetch))
                try:
                    photo = _photo(output, subset, image_id, fetch)
                    tally.instances += _write(photo, grouped[image_id], archive[1])
                    tally.photos += 1
                except (OSError, ValueError) as error:
                    tally.problems.append(f"{image_id}: {error}")
            on_photo()
    finally:
        if archive is not None:
            archive[1].close()
    return tally


def _open_masks(cache: Path, subset: str, digit: str, fetch: Fetch) -> zipfile.ZipFile:
    name = MASKS_ZIP.format(subset=subset, digit=digit)
    path = cache / name
    if not path.is_file():
        fetch(f"{LISTS}/{subset}-masks/{name}", path)
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise ValueError(f"{path}: is no zip archive. Delete it and start again.") from None


def _photo(output: Path, subset: str, image_id: str, fetch: Fetch) -> Path:
    path = output / f"{image_id}.jpg"
    return path if path.is_file() else fetch(PHOTO_URL.format(subset=subset, image_id=image_id), path)


def _write(photo: Path, rows: list[MaskRow], archive: zipfile.ZipFile) -> int:
    """Writes the labelme file of one photo; returns the number of its instances."""
    height, width = photos.upright_size(photo)
    masks = np.stack([read_mask(archive, row.mask, height, width) for row in rows], axis=2)
    shapes = masks_to_shapes([row.label for row in rows], masks)
    write_labelme(photo.with_suffix(".json"), photo.name, height, width, shapes)
    return len(rows)


def read_mask(archive: zipfile.ZipFile, name: str, height: int, width: int) -> np.ndarray:
    """A mask out of an archive, scaled to its photo, bool `[H, W]`.

    Raises:
        ValueError: it is not there, is no PNG, or has another shape than the photo.
    """
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise ValueError(f"{name} is not in {Path(archive.filename or '').name}.") from None
    if info.file_size > MAX_PNG_BYTES:
        raise ValueError(f"{name} unpacks to {info.file_size:,} bytes; no mask is so large.")
    try:
        with PIL.Image.open(io.BytesIO(archive.read(info)), formats=["PNG"]) as image:
            size = image.size
            fits = abs(size[0] * height / (size[1] * width) - 1) <= MAX_ASPECT_ERROR
            if fits and size[0] * size[1] <= 4 * height * width:  # larger ones would be bombs
                nearest = PIL.Image.Resampling.NEAREST
                return np.asarray(image.convert("L").resize((width, height), nearest)) > 0
    except Exception as error:  # damaged archives and pictures raise many kinds
        raise ValueError(f"{name} cannot be read ({short(str(error))}).") from None
    raise ValueError(f"{name} is {size[0]}x{size[1]} on a {width}x{height} photo. Is the photo turned or replaced?")


# --- command ---


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike open-images`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument(
        "--classes", required=True, metavar="NAMES", help="names of classes in Open Images, separated by commas"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for photos and labelme files")
    parser.add_argument("--subset", choices=SUBSETS, default="train", help="part of Open Images (default: train)")
    parser.add_argument("--limit", type=int, metavar="N", help="stop after N photos (default: all)")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="folder for downloaded lists and masks (default: OUTPUT/.open_images)",
    )
    parser.add_argument("--offline", action="store_true", help="download nothing; use what is in the cache")


def _fetcher(offline: bool) -> Fetch:
    def fetch(url: str, path: Path) -> Path:
        if offline:
            raise FileNotFoundError(f"{path} is missing. Get it from {url}, or leave out --offline.")
        from mrcnn.checkpoints.download import download

        return download(url, path, verbose=path.suffix != ".jpg" and sys.stderr.isatty())

    return fetch


def run_command(arguments: argparse.Namespace) -> int:
    """Selects, fetches and converts; returns 1 if photos had to be left out."""
    from tqdm import tqdm

    if arguments.limit is not None and arguments.limit < 1:
        raise ValueError(f"--limit: expected a number of photos from 1, got {arguments.limit}.")
    cache, fetch = arguments.cache or arguments.output / ".open_images", _fetcher(arguments.offline)
    lists = []
    for name in (CLASSES_CSV, MASKS_CSV.format(subset=arguments.subset)):
        lists.append(cache / name if (cache / name).is_file() else fetch(f"{LISTS}/{name}", cache / name))
    names = [name.strip() for name in arguments.classes.split(",") if name.strip()]
    grouped = by_photo(mask_rows(lists[1], class_ids(lists[0], names)), arguments.limit)
    if not grouped:
        raise ValueError(f"no mask of {', '.join(names)} in {arguments.subset}. Only 350 of the classes have masks.")
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tqdm(total=len(grouped), unit="photo", disable=not sys.stderr.isatty()) as bar:
        tally = convert(grouped, arguments.output, arguments.subset, cache, fetch, bar.update)
    for problem in tally.problems:
        print(f"left out: {problem}", file=sys.stderr)
    there = f", {tally.kept} already there" if tally.kept else ""
    done = f"{plural(tally.photos, 'photo')} with {plural(tally.instances, 'mask')}"
    print(f"{done} written to {arguments.output}{there}.")
    return 1 if tally.problems else 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike open-images` and `python nike/open_images.py`."""
    return cli.start("open-images", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
