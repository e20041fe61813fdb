"""Atomic file writes, and checks of output paths."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mrcnn.errors import UserError


@contextmanager
def replacing(path: str | os.PathLike, durable: bool = False) -> Iterator[Path]:
    """Context manager that replaces a file atomically.

    Args:
        path: file to write. Missing parent folders are created.
        durable: whether the file is synchronised with the disk before the block ends, so that it survives a power
            failure.

    Yields:
        A temporary path in the same folder, with the same suffix, to write to. It replaces `path` when the block ends.
        After an exception it is deleted and an existing file at `path` remains unchanged.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}.tmp{path.suffix}")
    try:
        yield temporary
        if durable:
            _synchronize(temporary)
        os.replace(temporary, path)
        if durable:
            _synchronize(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _synchronize(path: Path) -> None:
    """Waits until a file, or the list of files of a folder, is on the disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open a folder
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_output_file(path: str | os.PathLike, option: str) -> None:
    """Checks that a file can be written, before the computation whose result it will hold.

    Args:
        path: path of the file. Its folder need not exist.
        option: command-line option for the error message, such as "--html".

    Raises:
        ValueError: the path is a folder.
        OSError: see `check_output_folder`.
    """
    if Path(path).is_dir():
        raise UserError(f"{option}: expected the name of a file, got the folder {path}.")
    check_output_folder(Path(path).parent, option)


def check_output_folder(folder: str | os.PathLike, option: str) -> None:
    """Checks that a folder exists or can be created, and is writable.

    Raises:
        OSError: it is not, or a part of its path is a file.
    """
    existing = next(path for path in (Path(folder), *Path(folder).absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise OSError(
            f"{option}: {existing} is not a writable folder ({error.strerror}). Choose another folder."
        ) from None
