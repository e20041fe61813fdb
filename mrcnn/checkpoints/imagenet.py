"""ImageNet weights for the backbones: where they are found, and where they are published."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from mrcnn.checkpoints.download import download
from mrcnn.checkpoints.hdf5 import CheckpointError, read_checkpoint
from mrcnn.checkpoints.locate import download_folder, find_weights


class Published(NamedTuple):
    """File names to look for, the preferred one first, and what to download if there is none."""

    names: tuple[str, ...]
    url: str
    size: int
    md5: str | None  # as published beside the file


_NO_TOP = "weights_tf_dim_ordering_tf_kernels_notop.h5"
_MOBILENET_NO_TOP = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
PUBLISHED = {
    "resnet50": Published(
        ("resnet50_imagenet_notop_rgb.h5", f"resnet50_{_NO_TOP}"),
        f"https://github.com/fchollet/deep-learning-models/releases/download/v0.2/resnet50_{_NO_TOP}",
        94_653_016,
        "a268eb855778b3df3c7506639542a6af",
    ),
    "resnet101": Published(
        (f"resnet101_{_NO_TOP}",),
        f"{_KERAS}/resnet/resnet101_{_NO_TOP}",
        171_446_536,
        "88cf7a10940856eca736dc7b7e228a21",
    ),
    "mobilenet_v2": Published(
        ("mobilenet_v2_imagenet.npz", _MOBILENET_NO_TOP),
        f"{_KERAS}/mobilenet_v2/{_MOBILENET_NO_TOP}",
        9_406_464,
        None,
    ),
}


def imagenet_weights(backbone: str, folder: str | os.PathLike | None = None, verbose: bool = True) -> Path:
    """ImageNet weights of a backbone: found on this machine, else downloaded. `load_weights` takes the path.

    Args:
        backbone: a key of PUBLISHED.
        folder: searched first, and where a download goes; see `locate.search_folders` for the other places.
        verbose: show a progress bar.

    Raises:
        ValueError: none are published for this backbone.
        WeightsNotFoundError: not here, and not to be had.
    """
    if backbone not in PUBLISHED:
        raise ValueError(
            f"BACKBONE {backbone!r}: there are ImageNet weights for {', '.join(PUBLISHED)} only. Choose one of them, "
            "or start from other weights."
        )
    names, url, size, md5 = PUBLISHED[backbone]
    found = find_weights(names, folder)
    if found is not None:
        return found
    return download(url, download_folder(folder) / Path(url).name, size, lambda path: _verify(path, md5), verbose)


def _verify(path: Path, md5: str | None) -> None:
    if md5 is not None:
        with open(path, "rb") as file:
            got = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if got != md5:
            raise CheckpointError(f"{path}: expected MD5 {md5}, got {got}. Delete the file and run again.")
    read_checkpoint(path).close()
