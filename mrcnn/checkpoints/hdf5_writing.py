"""Atomic writing of HDF5 files."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from mrcnn.atomic import replacing

OVERHEAD = 1 << 20  # bytes reserved for HDF5 metadata


@contextmanager
def new_file(path: Path, size: int, content: str, advice: str) -> Iterator[h5py.File]:
    """Opens an empty temporary HDF5 file that replaces `path` on success and is deleted otherwise.

    Args:
        path: path of the file. Its folder is created if it does not exist.
        size: int, size of the arrays in bytes. The space is reserved first because HDF5 aborts the process if the disk
            becomes full during a write.
        content: str, the content of the file for the error message, such as "the weights".
        advice: str, how to fix the problem, for the error message.

    Raises:
        OSError: if the file cannot be written, for example because the disk is full. An existing file is unchanged.
    """
    target = Path(os.path.realpath(path))  # replaces the target of a symbolic link instead of the link
    try:
        with replacing(target) as temporary:
            _reserve(temporary, size + OVERHEAD)
            with h5py.File(temporary, "w") as file:
                yield file
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:
        reason = os.strerror(error.errno) if getattr(error, "errno", None) else " ".join(str(error).split())
        raise OSError(f"{path}: {content} could not be written ({reason}). {advice}") from None


def _reserve(path: Path, size: int) -> None:
    """Allocates `size` bytes on disk. Raises OSError if there is not enough space."""
    with open(path, "wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except (AttributeError, OSError) as error:  # posix_fallocate is not supported
            if getattr(error, "errno", None) not in (None, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP):
                raise
            if shutil.disk_usage(path.parent).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
