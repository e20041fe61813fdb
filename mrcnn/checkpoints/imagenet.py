"""ImageNet weights of the backbones: file names, URLs and checksums."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from mrcnn.checkpoints.download import download
from mrcnn.checkpoints.hdf5 import CheckpointError, read_checkpoint
from mrcnn.checkpoints.locate import download_folder, find_weights
from mrcnn.errors import UserError


class PublishedWeights(NamedTuple):
    """A published weights file and its possible local file names."""

    names: tuple[str, ...]  # in order of preference
    url: str
    size: int  # bytes
    md5: str | None


_NO_TOP = "weights_tf_dim_ordering_tf_kernels_notop.h5"
_MOBILENET_NO_TOP = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
PUBLISHED = {
    "resnet50": PublishedWeights(
        ("resnet50_imagenet_notop_rgb.h5", f"resnet50_{_NO_TOP}"),
        f"https://github.com/fchollet/deep-learning-models/releases/download/v0.2/resnet50_{_NO_TOP}",
        94_653_016,
        "a268eb855778b3df3c7506639542a6af",
    ),
    "resnet101": PublishedWeights(
        (f"resnet101_{_NO_TOP}",),
        f"{_KERAS}/resnet/resnet101_{_NO_TOP}",
        171_446_536,
        "88cf7a10940856eca736dc7b7e228a21",
    ),
    "mobilenet_v2": PublishedWeights(
        ("mobilenet_v2_imagenet.npz", _MOBILENET_NO_TOP),
        f"{_KERAS}/mobilenet_v2/{_MOBILENET_NO_TOP}",
        9_406_464,
        None,
    ),
}


def imagenet_weights(backbone: str) -> Path:
    """Returns the ImageNet weights of a backbone for `load_weights`. Downloads them if no search folder contains them.

    Args:
        backbone: str, a key of PUBLISHED, optionally with the suffix "_c4".

    Raises:
        ValueError: if no weights are published for the backbone.
        WeightsNotFoundError: if the file is not found and cannot be downloaded.
    """
    trunk = str(backbone).removesuffix("_c4")
    if trunk not in PUBLISHED:
        raise UserError(
            f"BACKBONE {backbone!r}: ImageNet weights are available for {', '.join(PUBLISHED)}. Choose one of them or "
            "start from other weights."
        )
    names, url, size, md5 = PUBLISHED[trunk]
    found = find_weights(names)
    if found is not None:
        return found
    return download(url, download_folder() / Path(url).name, size, lambda path: _verify(path, md5))


def _verify(path: Path, md5: str | None) -> None:
    if md5 is not None:
        with open(path, "rb") as file:
            got = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if got != md5:
            raise CheckpointError(f"{path}: expected MD5 {md5}, got {got}. Delete the file and run again.")
    read_checkpoint(path).close()
