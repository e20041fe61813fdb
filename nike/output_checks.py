"""Checks that output paths are writable before a long computation starts."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from mrcnn.errors import UserError


def check_output_file(path: str | os.PathLike, option: str) -> None:
    """Checks that a file can be written.

    Args:
        path: path of the file. Its folder need not exist.
        option: command-line option for the error message, such as "--html".

    Raises:
        ValueError: if the path is a folder.
        OSError: see `check_output_folder`.
    """
    if Path(path).is_dir():
        raise UserError(f"{option}: expected the name of a file, got the folder {path}.")
    check_output_folder(Path(path).parent, option)


def check_output_folder(folder: str | os.PathLike, option: str) -> None:
    """Checks that a folder exists or can be created, and is writable.

    Raises:
        OSError: if the folder is not writable, or part of its path is a file.
    """
    existing = next(path for path in (Path(folder), *Path(folder).absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise OSError(
            f"{option}: {existing} is not a writable folder ({error.strerror}). Choose another folder."
        ) from None
