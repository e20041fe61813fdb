"""HDF5 files that are complete or not there: also on a full disk, and when the process is killed while it writes."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

OVERHEAD = 1 << 20  # bytes that HDF5 may need beside the arrays


@contextmanager
def new_file(path: Path, size: int, what: str, advice: str) -> Iterator[h5py.File]:
    """An empty HDF5 file to fill, which takes the place of `path` if all goes well and vanishes otherwise.

    Args:
        path: of the file; its folder is made if need be.
        size: bytes of the arrays to come. Room for them is asked for first, because HDF5 brings the whole process
            down if the disk becomes full while it writes.
        what: the content, for the error message: "the weights".
        advice: what to do about the error, one sentence or more.

    Raises:
        OSError: the file cannot be written, for example because the disk is full; an earlier file is intact.
    """
    target = Path(os.path.realpath(path))  # through a link: replace what it points to
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _reserve(temporary, size + OVERHEAD)
        with h5py.File(temporary, "w") as file:
            yield file
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except (OSError, RuntimeError) as error:
        reason = os.strerror(error.errno) if getattr(error, "errno", None) else " ".join(str(error).split())
        raise OSError(f"{path}: {what} could not be written ({reason}). {advice}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _reserve(path: Path, size: int) -> None:
    """Raises OSError unless a file of `size` bytes has room at `path`."""
    with open(path, "wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except (AttributeError, OSError) as error:  # not on this system; or not on this file system
            if getattr(error, "errno", None) not in (None, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP):
                raise
            if shutil.disk_usage(path.parent).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
