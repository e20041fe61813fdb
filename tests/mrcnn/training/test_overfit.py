"""End-to-end training from random weights."""

import numpy as np

from mrcnn.backbones import resnet


def test_eight_images_can_be_overfitted(tiny, tmp_path):
    wider = dict(TOP_DOWN_PYRAMID_SIZE=32, RPN_CHANNELS=32, MASK_HEAD_CHANNELS=32, FPN_CLASSIF_FC_LAYERS_SIZE=64)
    model = tiny.build(tmp_path, TRAIN_BN=None, STEPS_PER_EPOCH=100, TRAIN_ROIS_PER_IMAGE=32, **wider)
    photos = tiny.Squares(8)
    options = dict(optimizer="adamw", schedule="cosine", warmup_steps=20, validate_every=2, verbose=0)
    progress = model.train(photos, photos, 2e-3, 2, "all", **options)
    first, last = progress.rows
    assert last["val_mask_AP50"] >= 0.95 and last["val_box_AP50"] >= 0.95
    assert last["loss"] < 0.3 * first["loss"]


def test_a_resnet_with_frozen_statistics(tiny, tmp_path, monkeypatch):
    """With the original's defaults and random weights, the loss starts small and decreases."""
    monkeypatch.setitem(resnet.BLOCKS, "50", (1, 1, 2, 1))
    model = tiny.build(tmp_path, BACKBONE="resnet50", COMPUTE_BACKBONE_SHAPE=None)
    losses = [row["loss"] for row in model.train(tiny.Squares(), None, 0.001, 2, "all", seed=0, verbose=0).rows]
    assert np.isfinite(losses).all() and losses[0] < 50 and losses[1] < 0.8 * losses[0], losses
