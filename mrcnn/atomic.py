"""Atomic file writes."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike, durable: bool = False) -> Iterator[Path]:
    """Context manager that replaces a file atomically.

    Args:
        path: file to write. Missing parent folders are created.
        durable: whether to synchronize the file with the disk before it replaces `path`, so that it survives a power
            failure.

    Yields:
        A temporary path in the same folder, with the same suffix, to write to. The file replaces `path` when the block
        ends. After an exception it is deleted, and an existing file at `path` remains unchanged.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:60]}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}")
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
    """Flushes a file, or the entries of a folder, to disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open folders
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
