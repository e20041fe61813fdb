"""Atomic file writes."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Context manager that replaces a file atomically.

    Args:
        path: file to write. Missing parent folders are created.

    Yields:
        A temporary path in the same folder, with the same suffix, to write to. It replaces `path` when the block ends.
        After an exception it is deleted and an existing file at `path` remains unchanged.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
