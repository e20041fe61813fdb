"""Search and download of ImageNet weights."""

import hashlib
import inspect

import numpy as np
import pytest

from mrcnn import choices
from mrcnn.checkpoints import WeightsNotFoundError, imagenet_weights

module = inspect.getmodule(imagenet_weights)


@pytest.fixture
def published(server, write_h5, monkeypatch):
    """Serves a small file in place of the published ResNet-50."""
    server.content = write_h5({"conv1": {"conv1_W:0": np.zeros((7, 7, 3, 64))}}).read_bytes()
    entry = module.PUBLISHED["resnet50"]._replace(
        url=f"{server.url.rsplit('/', 1)[0]}/{module.PUBLISHED['resnet50'].names[-1]}",
        size=len(server.content),
        md5=hashlib.md5(server.content).hexdigest(),
    )
    monkeypatch.setitem(module.PUBLISHED, "resnet50", entry)
    return server


def test_local_file_is_used(published, weights_folder):
    path = weights_folder / "resnet50_imagenet_notop_rgb.h5"
    path.touch()
    assert imagenet_weights("resnet50") == path
    assert published.ranges == []


def test_file_is_downloaded_once(published, weights_folder):
    path = imagenet_weights("resnet50")
    assert path == weights_folder / "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert imagenet_weights("resnet50") == path and len(published.ranges) == 1


def test_wrong_checksum_is_rejected(published, weights_folder):
    published.content = published.content[:-1] + b"\xff"
    with pytest.raises(WeightsNotFoundError, match="expected MD5"):
        imagenet_weights("resnet50")
    assert list(weights_folder.glob("resnet50*")) == []


def test_backbone_without_published_weights():
    with pytest.raises(ValueError, match="BACKBONE 'resnext50'.*available for resnet50, resnet101, mobilenet_v2"):
        imagenet_weights("resnext50")


def test_published_table():
    assert set(module.PUBLISHED) <= set(choices.SETTINGS["BACKBONE"])
    for entry in module.PUBLISHED.values():
        assert entry.url.startswith("https://") and entry.url.rsplit("/", 1)[1] in entry.names
