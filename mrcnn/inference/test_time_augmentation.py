"""Test-time augmentation: a photo is looked at several times, mirrored and at other scales, and the views vote.

Scores: an object's score is its mean over all views, 0 where a view does not show it; so what only one view sees loses.
Source: Solovyev et al. 2021, "Weighted boxes fusion", section 3; masks by weighted majority are added here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mrcnn.detections import Detection, Detections
from mrcnn.inference.voting import Detect, part_in, shared_pixels, vote

SAME_IOU = 0.5  # masks of two views that agree so well are one object
SCALES = (1.0, 1.5)  # of the network's image: logos are mostly small
SIDE_MULTIPLE = 64  # P6 is 64 times smaller than the image


def scaled_detectors(model: Any, scales: Sequence[float] = SCALES) -> list[Detect]:
    """One detecting function for each scale, over the same weights.

    Args:
        model: MaskRCNN. Its DETECTION_MIN_CONFIDENCE should be below the one wanted in the end: views vote.
        scales: factors of the sides of the network's image.
    """
    from mrcnn.inference.predictor import Predictor, detect_stream  # TensorFlow: who has a model has it already

    def detector(scale: float) -> Detect:
        config = model.config
        if scale != 1:
            sides = {name: getattr(config, name) * scale / SIDE_MULTIPLE for name in ("IMAGE_MIN_DIM", "IMAGE_MAX_DIM")}
            config = config.copy(**{name: max(round(side), 1) * SIDE_MULTIPLE for name, side in sides.items()})
        predictor = Predictor(model.inference_model, config)
        return lambda photos: detect_stream(photos, predictor, config.BATCH_SIZE, skip_errors=False)

    return [detector(scale) for scale in scales]


def detect_augmented(detectors: Sequence[Detect], photo: np.ndarray) -> Detections:
    """Finds objects on one photo by the vote of all detectors, each on the photo as it is and mirrored.

    Args:
        detectors: at least one, see `scaled_detectors`.
        photo: `[H, W, channels]`.

    Returns:
        Each object once, highest score first.
    """
    height, width = photo.shape[:2]
    views = []
    for detect in detectors:
        upright, mirrored = detect(iter([photo, photo[:, ::-1]]))
        views += [list(upright), [mirror(detection, width) for detection in mirrored]]
    return Detections.from_instances(fuse(views), (height, width))


def mirror(detection: Detection, width: int) -> Detection:
    """A detection on a mirrored photo of this width, on the photo as it is."""
    y1, x1, y2, x2 = detection.box
    return replace(detection, box=(y1, width - x2, y2, width - x1), mask=detection.mask[:, ::-1])


def fuse(views: Sequence[Sequence[Detection]]) -> list[Detection]:
    """Each object once: boxes averaged by score, masks by majority, scores averaged over all views.

    Args:
        views: the detections of each view, all in pixels of the photo.
    """
    waiting = [(detection, number) for number, view in enumerate(views) for detection in view]
    waiting.sort(key=lambda pair: -pair[0].score)
    fused = []
    while waiting:
        leader, view = waiting[0]
        members = {view: leader}  # best score first, so each view gives its most certain match
        rest = []
        for detection, number in waiting[1:]:
            if number not in members and _is_same(leader, detection):
                members[number] = detection
            else:
                rest.append((detection, number))
        fused.append(_average(list(members.values()), len(views)))
        waiting = rest
    return fused


def _is_same(a: Detection, b: Detection) -> bool:
    shared = shared_pixels(a, b) if a.class_id == b.class_id else 0
    return shared > 0 and shared >= SAME_IOU * (np.count_nonzero(a.mask) + np.count_nonzero(b.mask) - shared)


def _average(members: Sequence[Detection], views: int) -> Detection:
    scores = np.array([detection.score for detection in members])
    if len(members) == 1:
        return replace(members[0], score=members[0].score / views)
    voted = vote(members, scores.tolist(), majority=0.5)
    corners = np.average([detection.box for detection in members], axis=0, weights=scores)
    y1, x1, y2, x2 = np.rint(corners).astype(int).tolist()
    box = (y1, x1, max(y2, y1 + 1), max(x2, x1 + 1))  # inside the voted box, which holds all of them
    return replace(voted, box=box, mask=part_in(voted, box), score=float(scores.sum()) / views)
