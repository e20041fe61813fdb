"""Reads images from files, folders, globs, URLs and videos as one stream, one image at a time.

    for picture in read_pictures(find_sources(["shoe.jpg", "photos/", "https://example.org/a.jpg", "clip.mp4"])):
        picture.image  # uint8 [H, W, 3], upright; None after an error, with the message in picture.error

A source that cannot be read yields a picture with an error message, and the stream continues.
"""

from __future__ import annotations

import glob
import io
import os
import re
import unicodedata
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrcnn.data import fetch, video_files
from mrcnn.data.image_files import read_image
from mrcnn.errors import UserError
from nike.datasets import photos
from nike.formatting import printable

SUFFIXES = photos.SUFFIXES | video_files.SUFFIXES  # suffixes of the files used from folders and globs
MAX_NAME = 180  # maximum length of an output file name in bytes; file systems allow 255 including number and suffix
_UNSAFE = re.compile(r"[^\w.,+@#&~()\- ]")  # characters that are not portable in file names


@dataclass(frozen=True)
class Source:
    """An image or video file, or its URL.

    Attributes:
        name: path or URL, as passed by the user.
        path: path of the file, or None for a URL.
        is_video: whether the source is a video, according to the suffix.
        live: number of a camera or address of a stream, which may be endless; None for files and other URLs.
    """

    name: str
    path: Path | None
    is_video: bool
    live: int | str | None = None


@dataclass(frozen=True, eq=False)
class Picture:
    """An image, a video frame, or an error message.

    Attributes:
        source: source of the image.
        name: name for output files, without suffix, unique for each source of the stream.
        image: uint8 RGB `[H, W, 3]`, upright, or None after an error.
        frame: frame number in the video, from 0, or None for an image.
        rate: frame rate of the video in frames per second.
        error: error message, which includes the name of the source, or "".
    """

    source: Source
    name: str
    image: np.ndarray | None = None
    frame: int | None = None
    rate: float = 0.0
    error: str = ""

    @property
    def title(self) -> str:
        """Name of the source in messages."""
        return printable(self.source.name)


def find_sources(arguments: Sequence[str], excluded: Sequence[Path] = ()) -> list[Source]:
    """Expands paths, folders, globs and URLs to sources, in order and without duplicates.

    Args:
        arguments: images, videos, folders (searched recursively), globs (including `**`), http or https URLs, the
            number of a camera, and addresses of streams. A missing file becomes a source that fails when it is read;
            the other sources are still processed.
        excluded: output folders. Their files are not used as sources.

    Raises:
        ValueError: if an argument is a URL of another scheme or is inside one of `excluded`, or no source is found.
        FileNotFoundError: if none of the files exists.
    """
    sources: dict[str, Source] = {}
    forbidden = list(map(_resolve, excluded))
    for argument in arguments:
        if (live := _parse_live(argument)) is not None:
            name = f"camera {live}" if isinstance(live, int) else argument
            sources[argument] = Source(name, None, True, live)
            continue
        if fetch.is_url(argument):
            fetch.check_url(argument)
            sources[argument] = Source(argument, None, video_files.is_video(argument))
            continue
        if not argument.strip():  # Path("") is the working directory
            raise UserError("expected a path, got an empty string. Check that all shell variables are set.")
        if _is_below(_resolve(argument), forbidden):
            raise UserError(f"{printable(argument)} is in a subfolder of --output. Choose another --output.")
        for path in _expand_path(argument):
            if not _is_below(_resolve(path), forbidden):
                sources.setdefault(os.path.abspath(path), Source(str(path), path, video_files.is_video(path)))
    if not sources:
        raise UserError(f"{', '.join(map(printable, arguments))}: no images or videos found.")
    if not any(source.path is None or photos.is_file(source.path) for source in sources.values()):
        raise FileNotFoundError(f"{', '.join(map(printable, arguments))}: no such file or folder. Check the path.")
    return list(sources.values())


def _parse_live(argument: str) -> int | str | None:
    """Returns the number of a camera (unless a file has this name), the address of a stream, or None."""
    if re.fullmatch(r"\d{1,2}", argument, re.ASCII) and not os.path.exists(argument):
        return int(argument)
    return argument if video_files.is_stream(argument) else None


def count_pictures(sources: Iterable[Source], stride: int = 1) -> int | None:
    """Returns the total number of images and video frames, or None if it is unknown for a video."""
    total = 0
    for source in sources:
        if not source.is_video:
            total += 1
            continue
        count = None if source.path is None else video_files.count_frames(source.path)
        if count is None:
            return None
        total += -(-count // stride)
    return total


def _expand_path(argument: str) -> Iterator[Path]:
    """Yields the paths of the images and videos that a path, folder or glob refers to."""
    path = Path(argument)
    if path.is_dir():
        yield from photos.find_files(path, SUFFIXES)
    elif not photos.is_file(path) and glob.has_magic(argument):
        found = map(Path, sorted(glob.glob(argument, recursive=True)))
        yield from (path for path in found if path.suffix.lower() in SUFFIXES and photos.is_file(path))
    else:
        yield path


def _resolve(path: str | Path) -> Path:
    return Path(os.path.realpath(path))  # unlike Path.resolve, accepts symlink loops


def _is_below(real: Path, folders: Sequence[Path]) -> bool:
    return any(real.is_relative_to(folder) for folder in folders)


def read_pictures(sources: Iterable[Source], stride: int = 1) -> Iterator[Picture]:
    """Yields the images of all sources. A source that cannot be read yields a `Picture` with an error message.

    Args:
        sources: see `find_sources`.
        stride: interval between frames. With N, every N-th frame of a video is yielded.
    """
    names = UniqueNames()
    for source in sources:
        name = names.new(source)
        try:
            yield from _read_video(source, name, stride) if source.is_video else _read_photo(source, name)
        except (ValueError, OSError) as error:
            message = str(error)
            if source.name not in message:
                message = f"{printable(source.name)}: {message}"
            yield Picture(source, name, error=message)


def _read_photo(source: Source, name: str) -> Iterator[Picture]:
    if source.path is not None:
        image = read_image(source.path)
    else:
        buffer = io.BytesIO()
        fetch.fetch(source.name, buffer)
        buffer.name = source.name  # for messages
        image = read_image(buffer)
    yield Picture(source, name, image)


def _read_video(source: Source, name: str, stride: int) -> Iterator[Picture]:
    video = source.name if source.live is None else source.live
    for number, (image, rate) in enumerate(video_files.frames(video, stride)):
        yield Picture(source, name, image, number * stride, rate)


class UniqueNames:
    """Derives unique output file names from source names. A number is appended to repeated names."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._next: dict[str, int] = {}

    def new(self, source: Source) -> str:
        """Returns a new portable name without suffix, unique regardless of case."""
        path = source.path
        if isinstance(source.live, int):
            path = Path(source.name)
        elif path is None:
            path = Path(urllib.parse.unquote(urllib.parse.urlsplit(source.name).path.rpartition("/")[2]))
        stem = unicodedata.normalize("NFC", path.stem)  # macOS decomposes umlauts into two characters
        wanted = _UNSAFE.sub("_", stem).encode()[:MAX_NAME].decode(errors="ignore").strip(" .") or "photo"
        name, number = wanted, self._next.get(wanted.casefold(), 2)
        while name.casefold() in self._used:
            name, number = f"{wanted}-{number}", number + 1
        self._next[wanted.casefold()] = number
        self._used.add(name.casefold())
        return name
