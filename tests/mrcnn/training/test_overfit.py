"""End-to-end training from random weights."""

import numpy as np
import pytest

from mrcnn.backbones import resnet

pytestmark = pytest.mark.slow

WIDER = dict(TOP_DOWN_PYRAMID_SIZE=32, RPN_CHANNELS=32, MASK_HEAD_CHANNELS=32, FPN_CLASSIF_FC_LAYERS_SIZE=64)
OVERFITTING = dict(TRAIN_BN=None, STEPS_PER_EPOCH=100, TRAIN_ROIS_PER_IMAGE=32, **WIDER)
OPTIONS = dict(optimizer="adamw", schedule="cosine", warmup_steps=20, validate_every=2, verbose=0, seed=0)
# Models of the papers. RoIs on C4 need several cells of 16 pixels, and the groups of ResNeXt need 32 channels.
C4 = dict(BACKBONE="resnet50_c4", RPN_ANCHOR_SCALES=(24, 40), MASK_POOL_SIZE=7, MASK_SHAPE=[14, 14])
VARIANTS = {
    "C4": dict(widths=(8, 8, 16, 32), IMAGE_MIN_DIM=128, IMAGE_MAX_DIM=128, COMPUTE_BACKBONE_SHAPE=None, **C4),
    # Trained for longer, because grouped convolutions are not deterministic with several threads.
    "ResNeXt": dict(epochs=4, widths=(16, 16, 16, 16), BACKBONE="resnext50", COMPUTE_BACKBONE_SHAPE=None),
    "RoIPool": dict(ROI_POOLING="pool"),
    "softmax masks": dict(MASK_ACTIVATION="softmax"),
}


@pytest.mark.parametrize("variant", [{}, *VARIANTS.values()], ids=["Mask R-CNN", *VARIANTS])
def test_eight_images_can_be_overfitted(tiny, tmp_path, monkeypatch, variant):
    settings = dict(variant)
    epochs = settings.pop("epochs", 2)
    monkeypatch.setitem(resnet.BLOCKS, "50", (1, 1, 1, 1))
    monkeypatch.setattr(resnet, "WIDTHS", settings.pop("widths", resnet.WIDTHS))
    model = tiny.build(tmp_path, **OVERFITTING, **settings)
    photos = tiny.Squares(8, side=model.config.IMAGE_MAX_DIM)
    first, *_, last = model.train(photos, photos, 2e-3, epochs, "all", **OPTIONS).rows
    assert last["val_mask_AP50"] >= 0.95 and last["val_box_AP50"] >= 0.95
    assert last["loss"] < (0.4 if variant else 0.3) * first["loss"]


def test_a_resnet_with_frozen_statistics(tiny, tmp_path, monkeypatch):
    """With the defaults of the original and random weights, the initial loss is small and decreases."""
    monkeypatch.setitem(resnet.BLOCKS, "50", (1, 1, 2, 1))
    model = tiny.build(tmp_path, BACKBONE="resnet50", COMPUTE_BACKBONE_SHAPE=None)
    losses = [row["loss"] for row in model.train(tiny.Squares(), None, 0.001, 2, "all", seed=0, verbose=0).rows]
    assert np.isfinite(losses).all() and losses[0] < 50 and losses[1] < 0.8 * losses[0], losses
