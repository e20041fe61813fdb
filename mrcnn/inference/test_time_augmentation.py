"""Test-time augmentation: fuses the detections on flipped and rescaled views of an image.

The score of an object is its mean score over all views, with 0 for views in which it is not detected. This lowers the
score of false positives that appear in only one view.

Source: Solovyev et al. 2021, "Weighted boxes fusion", section 3. The weighted majority vote of masks is an addition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mrcnn.detections import Detection, Detections
from mrcnn.errors import UserError
from mrcnn.inference.streams import detect_stream
from mrcnn.inference.voting import Detect, mask_iou, part_in, vote
from mrcnn.ops.keypoints import mirror_keypoints

SAME_IOU = 0.5  # minimum mask IoU of two detections of one object
SCALES = (1.0, 1.5)  # scales of the network input; a larger input improves the detection of small objects
SIDE_MULTIPLE = 64  # stride of P6


def scaled_detectors(model: Any, scales: Sequence[float] = SCALES) -> list[Detect]:
    """Returns a detection function for each scale. All of them use the weights of `model`.

    Args:
        model: MaskRCNN. Its DETECTION_MIN_CONFIDENCE should be lower than the threshold for the fused scores, which
            are means over all views.
        scales: scales of the network input, 1 for the size in the model's Config.

    Raises:
        ValueError: if the network has no RPN.
    """
    from mrcnn.inference.predictor import Predictor  # imports TensorFlow

    if not model.config.has_rpn:
        raise UserError("test-time augmentation: the network has no RPN, and there are no proposals for the views.")

    def detector(scale: float) -> Detect:
        config = model.config
        if scale != 1:
            sides = {name: getattr(config, name) * scale / SIDE_MULTIPLE for name in ("IMAGE_MIN_DIM", "IMAGE_MAX_DIM")}
            config = config.copy(**{name: max(round(side), 1) * SIDE_MULTIPLE for name, side in sides.items()})
        predictor = Predictor(model.inference_model, config)
        return lambda images: detect_stream(images, predictor, config.BATCH_SIZE, skip_errors=False)

    return [detector(scale) for scale in scales]


def detect_augmented(
    detectors: Sequence[Detect], image: np.ndarray, keypoint_flip: Sequence[Sequence[int]] = ()
) -> Detections:
    """Runs all detectors on an image and its mirror image and fuses the detections.

    Args:
        detectors: detection functions; see `scaled_detectors`.
        image: `[H, W, channels]`.
        keypoint_flip: see `Config.KEYPOINT_FLIP`. The keypoints are taken from the view with the highest score.

    Returns:
        The fused detections, in order of decreasing score.
    """
    height, width = image.shape[:2]
    views = []
    for detect in detectors:
        upright, mirrored = detect(iter([image, image[:, ::-1]]))
        views += [list(upright), [mirror(detection, width, keypoint_flip) for detection in mirrored]]
    return Detections.from_instances(fuse(views), (height, width), upright.has_masks, upright.num_keypoints)


def mirror(detection: Detection, width: int, keypoint_flip: Sequence[Sequence[int]] = ()) -> Detection:
    """Mirrors a detection horizontally in an image of the given width in pixels."""
    y1, x1, y2, x2 = detection.box
    points = detection.keypoints
    if points is not None:
        points = mirror_keypoints(points, width, keypoint_flip)
    return replace(detection, box=(y1, width - x2, y2, width - x1), mask=detection.mask[:, ::-1], keypoints=points)


def fuse(views: Sequence[Sequence[Detection]]) -> list[Detection]:
    """Fuses the detections of several views.

    Boxes are averaged with their scores as weights, masks are merged by a weighted majority vote, and scores are
    averaged over all views.

    Args:
        views: detections of each view, in pixels of the image.

    Returns:
        One detection per object.
    """
    waiting = [(detection, number) for number, view in enumerate(views) for detection in view]
    waiting.sort(key=lambda pair: -pair[0].score)
    fused = []
    while waiting:
        leader, view = waiting[0]
        members = {view: leader}  # in order of decreasing score, so each view contributes its best match
        rest = []
        for detection, number in waiting[1:]:
            may_join = number not in members and detection.class_id == leader.class_id
            if may_join and mask_iou(leader, detection) >= SAME_IOU:
                members[number] = detection
            else:
                rest.append((detection, number))
        fused.append(_average(list(members.values()), len(views)))
        waiting = rest
    return fused


def _average(members: Sequence[Detection], views: int) -> Detection:
    scores = np.array([detection.score for detection in members])
    if len(members) == 1:
        return replace(members[0], score=members[0].score / views)
    voted = vote(members, scores.tolist(), majority=0.5)
    corners = np.average([detection.box for detection in members], axis=0, weights=scores)
    y1, x1, y2, x2 = np.rint(corners).astype(int).tolist()
    box = (y1, x1, max(y2, y1 + 1), max(x2, x1 + 1))  # lies inside the voted box
    return replace(voted, box=box, mask=part_in(voted, box), score=float(scores.sum()) / views)
