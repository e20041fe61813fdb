"""The score threshold of a trained model, chosen on the validation images of the run."""

from __future__ import annotations

from pathlib import Path

from nike.config import NikeConfig


def store_threshold(model, weights: Path) -> list[str]:
    """Stores the score threshold with the highest F1 on the validation images in the best weights.

    The threshold was determined in the validation of the best epoch. A threshold that is set in `--config` is kept.

    Args:
        model: MaskRCNN after training.
        weights: path of the best weights.

    Returns:
        A list with the line to print, or an empty list if there are no best weights.
    """
    from mrcnn.checkpoints import update_config
    from mrcnn.training.distribution import is_chief

    best = model.run.progress.best
    if best is None or not weights.is_file() or not is_chief(model.keras_model.distribute_strategy):
        return []
    given = model.config.DETECTION_MIN_CONFIDENCE
    row = next(row for row in model.run.progress.rows if row["epoch"] == best["epoch"])
    if "val_threshold" not in row:
        return [f"threshold   {given or 0:g}, not calibrated: no true positive on the validation images"]
    threshold = round(row["val_threshold"], 4)
    found = f"{threshold:.3f} has the highest F1 on the validation images ({row['val_F1']:.3f})"
    if given != NikeConfig.DETECTION_MIN_CONFIDENCE:
        return [f"threshold   {given or 0:g} of --config; {found}"]
    update_config(weights, DETECTION_MIN_CONFIDENCE=threshold)
    return [f"threshold   {found}; stored in the best weights"]
