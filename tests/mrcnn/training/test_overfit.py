"""The whole chain at once: a network from random weights learns eight photos by heart within seconds."""


def test_eight_photos_by_heart(tiny, tmp_path):
    wider = dict(TOP_DOWN_PYRAMID_SIZE=32, RPN_CHANNELS=32, MASK_HEAD_CHANNELS=32, FPN_CLASSIF_FC_LAYERS_SIZE=64)
    model = tiny.build(tmp_path, TRAIN_BN=None, STEPS_PER_EPOCH=100, TRAIN_ROIS_PER_IMAGE=32, **wider)
    photos = tiny.Squares(8)
    options = dict(optimizer="adamw", schedule="cosine", warmup_steps=20, validate_every=2, verbose=0)
    progress = model.train(photos, photos, 2e-3, 2, "all", **options)
    first, last = progress.rows
    assert last["val_mask_AP50"] >= 0.95 and last["val_box_AP50"] >= 0.95
    assert last["loss"] < 0.3 * first["loss"]
