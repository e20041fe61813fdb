"""What to look at: photos, folders, globs, URLs and videos become one stream of pictures, read one at a time.

    for picture in read(find_sources(["shoe.jpg", "photos/", "https://example.org/a.jpg", "clip.mp4"])):
        picture.image  # uint8 [H, W, 3], upright; None where picture.error says why

A source that cannot be read is a picture with an error, so that the stream goes on.
"""

from __future__ import annotations

import contextlib
import glob
import io
import os
import re
import tempfile
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrcnn.data.reading import read_image
from nike.datasets import photos
from nike.detection import fetch, video
from nike.text import printable

SUFFIXES = photos.SUFFIXES | video.SUFFIXES  # of what is found in folders and by globs
MAX_NAME = 180  # bytes of an output file's name; file systems take 255 with number and suffix
_UNSAFE = re.compile(r"[^\w.,+@#&~()\- ]")  # in a file name on any system


@dataclass(frozen=True)
class Source:
    """A photo or a video, as the user named it.

    Attributes:
        name: path or URL.
        path: the file; None for a URL.
        is_video: judged by the suffix.
    """

    name: str
    path: Path | None
    is_video: bool


@dataclass(frozen=True, eq=False)
class Picture:
    """A photo or a frame of a video; or why there is none.

    Attributes:
        source: where it comes from.
        name: for output files, without suffix; no other source of the stream has the same one.
        image: uint8 `[H, W, 3]`, upright; None after an error.
        frame: number from 0 in a video; None for a photo.
        rate: frames a second of a video.
        error: what went wrong, with the source named.
    """

    source: Source
    name: str
    image: np.ndarray | None = None
    frame: int | None = None
    rate: float = 0.0
    error: str = ""

    @property
    def title(self) -> str:
        """What messages call it: as the user named it."""
        return printable(self.source.name)


def find_sources(arguments: Sequence[str], without: Sequence[Path] = ()) -> list[Source]:
    """Finds what arguments of a command line mean; each path once, in their order.

    Args:
        arguments: photos, videos, folders (searched at any depth), globs (`**` too), http(s) addresses. A file that is
            not there becomes a source that fails when it is read, so that the others are looked at.
        without: folders that results are written to: what lies in them is no source.

    Raises:
        ValueError: an argument is another kind of address, or lies in one of `without`, or nothing is left.
        FileNotFoundError: nothing is there.
    """
    sources: dict[str, Source] = {}
    forbidden = list(map(_real, without))
    for argument in arguments:
        if fetch.is_url(argument):
            fetch.check_url(argument)
            path = Path(urllib.parse.urlsplit(argument).path)
            sources[argument] = Source(argument, None, _is_video(path))
            continue
        if not argument.strip():  # else it would mean the working directory
            raise ValueError("an empty path is no photo. Is a variable not set?")
        if _is_in(_real(argument), forbidden):
            raise ValueError(f"{printable(argument)}: lies in a folder that results are written to.")
        for path in _expand(argument):
            if not _is_in(_real(path), forbidden):
                sources.setdefault(os.path.abspath(path), Source(str(path), path, _is_video(path)))
    if not sources:
        raise ValueError(f"{', '.join(map(printable, arguments))}: no photos or videos in it.")
    if not any(source.path is None or photos.is_file(source.path) for source in sources.values()):
        raise FileNotFoundError(f"{', '.join(map(printable, arguments))}: no such file or folder. Check the path.")
    return list(sources.values())


def _expand(argument: str) -> Iterator[Path]:
    """The photos and videos that a path, folder or glob means."""
    path = Path(argument)
    if path.is_dir():
        yield from photos.find_files(path, SUFFIXES)
    elif not photos.is_file(path) and glob.has_magic(argument):
        found = map(Path, sorted(glob.glob(argument, recursive=True)))
        yield from (path for path in found if path.suffix.lower() in SUFFIXES and photos.is_file(path))
    else:
        yield path


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))  # unlike Path.resolve, at peace with links that run in a circle


def _is_in(real: Path, folders: Sequence[Path]) -> bool:
    return any(real.is_relative_to(folder) for folder in folders)


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in video.SUFFIXES


def read(sources: Iterable[Source]) -> Iterator[Picture]:
    """Reads sources one after another; never raises for one that cannot be read."""
    names = Names()
    for source in sources:
        name = names.new(source)
        try:
            yield from _read_video(source, name) if source.is_video else _read_photo(source, name)
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


def _read_video(source: Source, name: str) -> Iterator[Picture]:
    with contextlib.ExitStack() as stack:
        path: str | Path | None = source.path
        if path is None:
            file = stack.enter_context(tempfile.NamedTemporaryFile(suffix=".video"))
            fetch.fetch(source.name, file, fetch.MAX_VIDEO_BYTES, fetch.VIDEO_SECONDS)
            file.flush()
            path = file.name
        elif not photos.is_file(source.path):
            raise FileNotFoundError(f"{printable(source.name)}: no such file. Check the path.")
        for number, (image, rate) in enumerate(video.frames(path)):
            yield Picture(source, name, image, number, rate)


class Names:
    """Names for output files: that of the source, with a number where another source has the same."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._next: dict[str, int] = {}

    def new(self, source: Source) -> str:
        """A name without suffix, safe on any file system, that was not given before (upper or lower case)."""
        path = source.path
        if path is None:
            path = Path(urllib.parse.unquote(urllib.parse.urlsplit(source.name).path.rpartition("/")[2]))
        wanted = _UNSAFE.sub("_", path.stem).encode()[:MAX_NAME].decode(errors="ignore").strip(" .") or "photo"
        name, number = wanted, self._next.get(wanted.casefold(), 2)
        while name.casefold() in self._used:
            name, number = f"{wanted}-{number}", number + 1
        self._next[wanted.casefold()] = number
        self._used.add(name.casefold())
        return name
