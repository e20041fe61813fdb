"""Search folders of weights files, and the destination of downloads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

FOLDER_VARIABLE = "MRCNN_WEIGHTS_DIR"
REPOSITORY_FOLDER = Path(__file__).resolve().parents[2] / "weights"


class WeightsNotFoundError(FileNotFoundError):
    """Raised if weights are not found and cannot be downloaded. The message contains the URL and the expected path."""


def search_folders() -> list[Path]:
    """Returns the folders that are searched for weights, in order.

    The folders are `weights` in the working directory and in the repository, the folder in the environment variable
    MRCNN_WEIGHTS_DIR, and the user's cache.
    """
    folders = [Path("weights"), REPOSITORY_FOLDER]
    if os.environ.get(FOLDER_VARIABLE):
        folders.append(Path(os.environ[FOLDER_VARIABLE]).expanduser())
    with suppress(WeightsNotFoundError):  # the user has no home folder
        folders.append(cache_folder())
    return folders


def find_weights(names: str | Iterable[str]) -> Path | None:
    """Returns the first file with one of the given names in the search folders, or None.

    Args:
        names: file name, or file names in order of preference.
    """
    names = [names] if isinstance(names, str) else list(names)
    candidates = (place / name for place in search_folders() for name in names)
    return next((path for path in candidates if path.is_file()), None)


def download_folder() -> Path:
    """Returns the folder for downloads: MRCNN_WEIGHTS_DIR, else an existing `weights` folder, else the cache."""
    if os.environ.get(FOLDER_VARIABLE):
        return Path(os.environ[FOLDER_VARIABLE]).expanduser()
    for place in (Path("weights"), REPOSITORY_FOLDER):
        if place.is_dir() and os.access(place, os.W_OK):
            return place
    return cache_folder()


def cache_folder() -> Path:
    """Returns `$XDG_CACHE_HOME/mrcnn`, by default `~/.cache/mrcnn`.

    Raises:
        WeightsNotFoundError: if the user has no home folder, for example in a container.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mrcnn"
    except RuntimeError:
        raise WeightsNotFoundError(f"no home folder for weights. Set {FOLDER_VARIABLE} to a folder.") from None
