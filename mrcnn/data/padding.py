"""Pads instances to the fixed number of ground-truth slots."""

from typing import Any

import numpy as np


def fill_slots(
    class_ids: np.ndarray,
    boxes: np.ndarray,
    masks: np.ndarray | None,
    count: int,
    rng: Any = np.random,
    keypoints: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Pads instances with zeros to `count` slots. If there are more instances, a random subset is used.

    Args:
        class_ids: `[N]`.
        boxes: `[N, 4]`.
        masks: `[h, w, N]`, or None.
        count: number of slots G.
        rng: random generator with a method `choice`.
        keypoints: `[N, J, 3]`, or None.

    Returns:
        class_ids: `[G]` int32.
        boxes: `[G, 4]` int32.
        masks: `[h, w, G]` bool; only if `masks` is given.
        keypoints: `[G, J, 3]` float32; only if `keypoints` is given.
    """
    if len(class_ids) > count:
        chosen = rng.choice(len(class_ids), count, replace=False)
        class_ids, boxes = class_ids[chosen], boxes[chosen]
        masks = None if masks is None else masks[:, :, chosen]
        keypoints = None if keypoints is None else keypoints[chosen]
    used = len(class_ids)
    slots = [np.zeros(count, np.int32), np.zeros((count, 4), np.int32)]
    slots[0][:used], slots[1][:used] = class_ids, boxes
    if masks is not None:
        slots.append(np.zeros((*masks.shape[:2], count), bool))
        slots[2][:, :, :used] = masks
    if keypoints is not None:
        slots.append(np.zeros((count, *keypoints.shape[1:]), np.float32))
        slots[-1][:used] = keypoints
    return slots
