"""Where weights files lie: the places that are searched, and the place that downloads go to."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

FOLDER_VARIABLE = "MRCNN_WEIGHTS_DIR"
REPOSITORY_FOLDER = Path(__file__).resolve().parents[2] / "weights"


class WeightsNotFoundError(FileNotFoundError):
    """Weights are not here and cannot be downloaded; the message says where to get them and where to put them."""


def search_folders(folder: str | os.PathLike | None = None) -> list[Path]:
    """The folders that are searched for weights, in order.

    Args:
        folder: searched first if given.

    Returns:
        The given folder, `weights` of the working folder and of the repository, the folder named by the environment
        variable MRCNN_WEIGHTS_DIR, and the user's cache.
    """
    folders = [Path(folder)] if folder is not None else []
    folders += [Path("weights"), REPOSITORY_FOLDER]
    if os.environ.get(FOLDER_VARIABLE):
        folders.append(Path(os.environ[FOLDER_VARIABLE]).expanduser())
    return [*folders, cache_folder()]


def find_weights(names: str | Iterable[str], folder: str | os.PathLike | None = None) -> Path | None:
    """The first file of one of these names in the folders that are searched, or None.

    Args:
        names: file names without folder, the preferred one first.
        folder: searched before the usual places.
    """
    names = [names] if isinstance(names, str) else list(names)
    candidates = (place / name for place in search_folders(folder) for name in names)
    return next((path for path in candidates if path.is_file()), None)


def download_folder(folder: str | os.PathLike | None = None) -> Path:
    """Where a download goes: the given folder, MRCNN_WEIGHTS_DIR, an existing `weights` folder, or the user's cache."""
    if folder is not None:
        return Path(folder)
    if os.environ.get(FOLDER_VARIABLE):
        return Path(os.environ[FOLDER_VARIABLE]).expanduser()
    for place in (Path("weights"), REPOSITORY_FOLDER):
        if place.is_dir() and os.access(place, os.W_OK):
            return place
    return cache_folder()


def cache_folder() -> Path:
    """`~/.cache/mrcnn`, or `mrcnn` under XDG_CACHE_HOME."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mrcnn"
