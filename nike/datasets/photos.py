"""Photo files of a dataset: finding them, their upright size, and staying inside the dataset's folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PureWindowsPath
from typing import BinaryIO

import PIL.Image

from mrcnn.data.reading import MAX_PIXELS, open_image
from nike.text import printable

SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".jfif"))
EXIF_ORIENTATION, TIFF_WIDTH, TIFF_HEIGHT = 0x0112, 0x0100, 0x0101  # tags
MAX_CHUNKS = 100_000  # of a PNG that are looked through


def find_files(folder: str | os.PathLike, suffixes: frozenset[str] = SUFFIXES) -> Iterator[Path]:
    """Regular files below `folder` with these suffixes (lower case), sorted; hidden files and folders are left out."""
    for parent, folders, files in os.walk(folder):  # does not follow links to folders
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(parent, name)
            if not name.startswith(".") and path.suffix.lower() in suffixes and path.is_file():
                yield path


def is_inside(path: Path, root: Path) -> bool:
    """Whether `path` lies in the folder `root` once `..` and symbolic links are followed."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):  # no such name can exist; a loop of links
        return False


def is_file(path: Path) -> bool:
    """Whether `path` is a regular file; False also for names that no file system accepts."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def as_written(name: str) -> list[Path]:
    """How a path noted in a file, perhaps under Windows, may be meant: as it stands, or its last part alone."""
    if not 0 < len(name) < 4096:
        return []
    windows = PureWindowsPath(name)  # understands both slashes
    return [Path(windows.as_posix()), Path(windows.name)]


def locate(candidates: Iterable[Path], root: Path, allow_outside: bool = False) -> tuple[Path | None, bool]:
    """The first candidate that is a file and may be read.

    Returns:
        Its path or None, and whether an existing file was refused because it lies outside `root`.
    """
    refused = False
    for candidate in candidates:
        if is_file(candidate):
            if allow_outside or is_inside(candidate, root):
                return candidate, refused
            refused = True
    return None, refused


def name_in(path: Path, root: Path) -> str:
    """The path as the user knows it: relative to the dataset, with forward slashes; its last part if it is outside."""
    path, root = Path(os.path.normpath(path)), Path(os.path.normpath(root))
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def upright_size(photo: Path | BinaryIO) -> tuple[int, int]:
    """(height, width) of a photo after its EXIF rotation, from the header alone.

    Raises:
        ValueError: not a photo that can be read, or too large. The message names no file.
    """
    try:
        with open_image(photo) as image:
            width, height = image.size
            if image.format == "TIFF":  # some versions of Pillow turn the size of TIFFs, others do not
                width, height = image.tag_v2[TIFF_WIDTH], image.tag_v2[TIFF_HEIGHT]
            turned = _exif(image).get(EXIF_ORIENTATION) in (5, 6, 7, 8)
    except Exception as error:  # damaged headers raise many kinds; each means the same here
        reason = re.split("[:<']", printable(error))[0].strip() or type(error).__name__  # without names of files
        raise ValueError(f"not a photo that can be read ({reason[:100]})") from None
    if width * height > MAX_PIXELS:
        raise ValueError(f"not a photo that can be read ({width}x{height} are more than {MAX_PIXELS:,} pixels)")
    return (width, height) if turned else (height, width)


def _exif(image: PIL.Image.Image) -> PIL.Image.Exif:
    """The EXIF data of a photo just opened, without decoding its pixels where that can be avoided."""
    if image.format != "PNG" or "exif" in image.info or _has_text_after_pixels(image.fp):
        return image.getexif()  # of a PNG without it, Pillow decodes all pixels to see what comes after them
    return PIL.Image.Image.getexif(image)


def _has_text_after_pixels(file: BinaryIO) -> bool:
    """Whether a PNG has chunks after its pixels that may hold EXIF data. Leaves the file where it was."""
    here, pixels_seen = file.tell(), False
    try:
        file.seek(8)  # the signature
        for _ in range(MAX_CHUNKS):
            header = file.read(8)
            kind = header[4:]
            if len(header) < 8 or kind == b"IEND":
                return False
            if pixels_seen and kind in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
                return True
            pixels_seen |= kind == b"IDAT"
            file.seek(int.from_bytes(header[:4], "big") + 4, 1)  # the content and its checksum
        return True
    finally:
        file.seek(here)
