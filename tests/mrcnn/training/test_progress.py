"""Best epoch and patience."""

import json

import pytest

from mrcnn.training.callbacks import patience_is_exhausted
from mrcnn.training.progress import Progress, Stage

STAGE = dict(
    layers=".*",
    epochs=9,
    learning_rate=0.1,
    optimizer="sgd",
    schedule="constant",
    warmup_steps=0,
    losses="all",
    average=0.0,
    accumulate=1,
    steps_per_epoch=4,
    batch_size=2,
    seed=0,
)


def run(aps, patience=2):
    progress = Progress()
    progress.begin(Stage(**STAGE))
    for epoch, ap in enumerate(aps, start=1):
        progress.end_epoch({"epoch": epoch} | ({} if ap is None else {"val_mask_AP": ap}))
        if patience_is_exhausted(progress, patience):
            break
    return progress


def test_best_epoch_is_the_first_with_the_highest_ap():
    progress = run([0.1, None, 0.4, 0.4, 0.3], patience=0)
    assert progress.best == {"epoch": 3, "mask_AP": 0.4} and progress.epoch == 5 and not progress.is_best


def test_patience_counts_validations_not_epochs():
    assert run([0.3, None, 0.2, None, None, 0.25, 0.9]).epoch == 6


def test_a_new_stage_resets_patience_but_not_the_best_epoch():
    progress = run([0.5, 0.4, 0.4])
    assert patience_is_exhausted(progress, 2)
    progress.finish()
    progress.begin(Stage(**STAGE | {"first_epoch": 3}))
    assert not patience_is_exhausted(progress, 2)
    progress.end_epoch({"epoch": 4, "val_mask_AP": 0.45})
    assert progress.best["epoch"] == 1 and progress.without_gain == 0


def test_survives_json():
    progress = run([0.1, 0.2])
    assert Progress.from_dict(json.loads(json.dumps(progress.to_dict()))) == progress


def test_other_json_is_rejected():
    with pytest.raises(ValueError, match="not the state of a training run"):
        Progress.from_dict({"epochs": 3})


def test_differences_between_stages_are_named():
    stage = Stage(**STAGE)
    assert stage.same_as(STAGE | {"first_epoch": 5})
    assert stage.differences(STAGE | {"layers": "heads", "seed": 3}) == ["layers: heads -> .*", "seed: 3 -> 0"]


def test_validation_without_objects_is_ignored():
    """Without objects, COCO reports -1. Such an epoch is not a best epoch and does not count for early stopping."""
    progress = Progress()
    progress.end_epoch({"epoch": 1, "val_mask_AP": -1.0})
    assert progress.best is None and progress.without_gain == 0 and not progress.is_best


def test_the_repr_is_one_line():
    assert repr(Progress(epoch=2, step=3)) == "<Progress epoch 2, step 3>"
    progress = Progress.from_rows(2, [{"epoch": 1, "val_mask_AP": 0.25}, {"epoch": 2, "val_mask_AP": 0.125}])
    assert repr(progress) == "<Progress epoch 2, step 0, best mask AP 0.250 at epoch 1>"
