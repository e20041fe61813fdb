"""Reports errors in a user's `load_image()` or `load_mask()` with the file and line of the user's code."""

from __future__ import annotations

import os
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mrcnn.errors import UserError

PACKAGE = str(Path(__file__).resolve().parents[1]) + os.sep
LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class DatasetError(UserError):
    """Raised if a method of a dataset raises an exception.

    Attributes:
        original: the exception. It is also the `__cause__`, which Keras deletes from exceptions raised in `fit`.
    """

    def __init__(self, message: str, original: Exception):
        super().__init__(message)
        self.original = original


@contextmanager
def convert_errors(where: str) -> Iterator[None]:
    """Context manager that converts exceptions to a DatasetError with their type, message, file and line.

    A ValueError or OSError raised by this package is not converted, because its message already names the image.

    Args:
        where: name of the method and the image, for the message.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_library(frame.filename)]
        if isinstance(error, (ValueError, OSError)) and _is_own(frames[-1].filename):
            raise
        user_frames = [frame for frame in frames if not _is_own(frame.filename)]
        place = (
            f" ({user_frames[-1].filename}, line {user_frames[-1].lineno}, in {user_frames[-1].name})"
            if user_frames
            else ""
        )
        raise DatasetError(f"{where}: {type(error).__name__}: {error}{place}", error) from error


def _is_own(filename: str) -> bool:
    return filename.startswith(PACKAGE)


def _is_library(filename: str) -> bool:
    return not _is_own(filename) and filename.startswith((*LIBRARIES, "<frozen", "<__array_function__"))
