"""Functions for the photo files of a dataset: search, path checks, and size after EXIF rotation."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any, BinaryIO

import PIL.Image

from mrcnn.data.image_files import MAX_PIXELS, open_image
from mrcnn.errors import UserError
from nike.datasets.records import Photo
from nike.formatting import printable, short

# HEIC is included, although it cannot be decoded, so that HEIC images are reported instead of ignored.
SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif", ".heic", ".heif")
)
EXIF_ORIENTATION, TIFF_WIDTH, TIFF_HEIGHT = 0x0112, 0x0100, 0x0101  # tags
MAX_CHUNKS = 100_000  # maximum number of PNG chunks that are read


def find_files(folder: str | os.PathLike, suffixes: frozenset[str] = SUFFIXES) -> Iterator[Path]:
    """Yields the regular files below `folder` with the given lower-case suffixes, sorted. Hidden files are skipped."""
    for parent, folders, files in os.walk(folder):  # does not follow symbolic links
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(parent, name)
            if not name.startswith(".") and path.suffix.lower() in suffixes and path.is_file():
                yield path


def is_inside(path: Path, root: Path) -> bool:
    """Returns whether `path` is inside the folder `root` after resolving `..` and symbolic links."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):  # invalid name, or a loop of symbolic links
        return False


def is_file(path: Path) -> bool:
    """Returns whether `path` is a regular file; False for invalid names."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def candidate_paths(name: str) -> list[Path]:
    """Returns candidate paths for a file name in an annotation file: the path as given and its last component."""
    if not 0 < len(name) < 4096:
        return []
    windows = PureWindowsPath(name)  # accepts both kinds of slashes
    return [Path(windows.as_posix()), Path(windows.name)]


def find_first_file(candidates: Iterable[Path], root: Path, allow_outside: bool = False) -> tuple[Path | None, bool]:
    """Returns the first candidate that exists and is inside `root`.

    Returns:
        The path or None, and whether an existing file was rejected because it is outside `root`.
    """
    refused = False
    for candidate in candidates:
        if is_file(candidate):
            if allow_outside or is_inside(candidate, root):
                return candidate, refused
            refused = True
    return None, refused


def image_folders(path: Path) -> list[Path]:
    """Returns the folders to search for the photos of a COCO or VIA file, the dataset folder first."""
    folder = path.parent if path.parent.name else Path.cwd()  # the parent of "instances.json" is ".", without a name
    root = folder.parent if folder.name == "annotations" else folder
    subset = path.stem.removeprefix("person_").partition("_")[2]  # instances_NAME and person_keypoints_NAME
    return [root, root / "images", *((root / subset, root / "images" / subset) if subset else ())]


def find_photo(
    name: str, annotations: Path, folders: Sequence[Path], allow_outside: bool, size: tuple[Any, Any] = (None, None)
) -> Photo:
    """Returns the photo for a file name in an annotation file, without instances.

    Args:
        name: str, path in the annotation file.
        annotations: path of the annotation file.
        folders: folders to search for the photo, the dataset folder first.
        allow_outside: bool, whether the photo may be outside the dataset folder.
        size: (width, height) given in the annotation file; see `Photo.has_size`.

    Raises:
        ValueError: if the photo is not found, cannot be read, or has a different size.
    """
    candidates = [folder / path for folder in folders for path in candidate_paths(name)]
    found, refused = find_first_file(candidates, folders[0], allow_outside)
    if found is None:
        if refused:
            raise UserError(f"the photo {short(name)} is outside the dataset. Copy it, or use --allow-outside.")
        root = os.path.basename(os.path.abspath(folders[0]))
        raise UserError(f"the photo {short(name)} was not found in {root}/. Copy it there.")
    try:
        height, width = upright_size(found)
    except ValueError as error:
        raise UserError(f"{short(name)} is {error}.") from None
    photo = Photo(relative_name(found, folders[0]), found, annotations, annotations.name, height, width)
    if not photo.has_size(*size):
        stated = f"{short(size[0])}x{short(size[1])}"
        raise UserError(
            f"{short(name)} has {width}x{height} pixels, but the annotation file states {stated}. "
            "The masks would be misplaced."
        )
    return photo


def relative_name(path: Path, root: Path) -> str:
    """Returns the path relative to `root` with forward slashes, or its last component if it is outside."""
    path, root = Path(os.path.normpath(path)), Path(os.path.normpath(root))
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def check_links(files: Iterable[Path], root: Path) -> None:
    """Raises ValueError if a file is a symbolic link to a file outside `root`. The message contains no file name."""
    if any(file.is_symlink() and not is_inside(file, root) for file in files):
        raise UserError("links to a file outside the dataset; copy it, or use --allow-outside")


def upright_size(photo: Path | BinaryIO) -> tuple[int, int]:
    """Returns (height, width) of a photo after EXIF rotation, read from the header.

    Raises:
        ValueError: if the photo cannot be read or is too large. The message does not contain the file name.
    """
    try:
        with open_image(photo) as image:
            width, height = image.size
            if image.format == "TIFF":  # some versions of Pillow apply the rotation to `size`
                width, height = image.tag_v2[TIFF_WIDTH], image.tag_v2[TIFF_HEIGHT]
            # The size is checked before the EXIF data is read, because EXIF data may be stored after the pixels.
            fits = width * height <= MAX_PIXELS
            is_rotated = fits and _exif(image).get(EXIF_ORIENTATION) in (5, 6, 7, 8)
    except Exception as error:  # damaged headers raise many types of exceptions
        reason = re.split("[:<']", printable(error))[0].strip() or type(error).__name__  # removes file names
        raise UserError(f"not a readable photo ({reason[:100]})") from None
    if not fits:
        raise UserError(f"not a readable photo ({width}x{height} pixels; expected at most {MAX_PIXELS:,})")
    return (width, height) if is_rotated else (height, width)


def _exif(image: PIL.Image.Image) -> PIL.Image.Exif:
    """Returns the EXIF data of an opened photo, without decoding its pixels if possible."""
    if image.format != "PNG" or "exif" in image.info or _has_text_after_pixels(image.fp):
        return image.getexif()  # decodes all pixels of a PNG without EXIF data before the pixels
    return PIL.Image.Image.getexif(image)


def _has_text_after_pixels(file: BinaryIO) -> bool:
    """Returns whether a PNG has chunks after its pixels that may contain EXIF data. Restores the file position."""
    position, pixels_seen = file.tell(), False
    try:
        file.seek(8)  # skip the signature
        for _ in range(MAX_CHUNKS):
            header = file.read(8)
            kind = header[4:]
            if len(header) < 8 or kind == b"IEND":
                return False
            if pixels_seen and kind in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
                return True
            pixels_seen |= kind == b"IDAT"
            file.seek(int.from_bytes(header[:4], "big") + 4, 1)  # skip the content and its checksum
        return True
    finally:
        file.seek(position)
