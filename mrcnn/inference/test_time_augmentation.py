"""Test-time augmentation: fuses the detections from mirrored and rescaled views of an image.

The score of an object is its mean score over all views, with 0 for views in which it is not detected. This lowers the
score of false positives that appear in only one view. The mask probabilities of mask refinement are averaged, so the
outlines keep their sub-pixel precision.

Source: Solovyev et al. 2021, "Weighted boxes fusion", section 3.
Differs from the paper: masks are fused as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mrcnn.detections import Detection, Detections
from mrcnn.errors import UserError
from mrcnn.inference.streams import detect_stream
from mrcnn.inference.voting import Detect, crop_mask, mask_iou, vote
from mrcnn.ops.keypoints import mirror_keypoints
from mrcnn.ops.masks import drop_small_parts, resample_mask, sample_mask

MIN_MATCH_IOU = 0.5  # minimum mask IoU of two detections of one object
SCALES = (1.0, 1.5)  # scales of the network input; a larger input improves the detection of small objects
SIDE_MULTIPLE = 64  # stride of P6


def scaled_detectors(model: Any, scales: Sequence[float] = SCALES) -> list[Detect]:
    """Returns a detection function for each scale. All functions share the weights of `model`.

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
    fused = fuse(views, (height, width))
    return Detections.from_instances(fused, (height, width), upright.has_masks, upright.num_keypoints)


def mirror(detection: Detection, width: int, keypoint_flip: Sequence[Sequence[int]] = ()) -> Detection:
    """Mirrors a detection horizontally in an image of the given width in pixels."""
    y1, x1, y2, x2 = detection.box
    points = detection.keypoints
    if points is not None:
        points = mirror_keypoints(points, width, keypoint_flip)
    mirrored = replace(detection, box=(y1, width - x2, y2, width - x1), mask=detection.mask[:, ::-1], keypoints=points)
    if detection.probabilities is None or detection.frame is None:
        return mirrored
    y1, x1, y2, x2 = detection.frame
    frame = (y1, width - x2, y2, width - x1)
    return replace(mirrored, probabilities=detection.probabilities[:, ::-1], frame=frame)


def fuse(views: Sequence[Sequence[Detection]], image_shape: Sequence[int]) -> list[Detection]:
    """Fuses the detections of several views.

    Scores are averaged over all views. Mask probabilities are averaged with the scores as weights, and the resulting
    box is the bounding box of the averaged mask. Without probabilities, boxes are averaged with the scores as weights,
    and masks are merged by a weighted majority vote.

    Args:
        views: detections of each view, in pixels of the image.
        image_shape: (H, W) of the image.

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
            if may_join and mask_iou(leader, detection) >= MIN_MATCH_IOU:
                members[number] = detection
            else:
                rest.append((detection, number))
        fused.append(_fuse_members(list(members.values()), len(views), image_shape))
        waiting = rest
    return fused


def _fuse_members(members: Sequence[Detection], views: int, image_shape: Sequence[int]) -> Detection:
    scores = np.array([detection.score for detection in members])
    if len(members) == 1:
        return replace(members[0], score=members[0].score / views)
    averaged = _average_probabilities(members, scores, image_shape)
    if averaged is not None:
        return replace(averaged, score=float(scores.sum()) / views)
    voted = vote(members, scores.tolist(), majority=0.5)
    corners = np.average([detection.box for detection in members], axis=0, weights=scores)
    y1, x1, y2, x2 = np.rint(corners).astype(int).tolist()
    box = (y1, x1, max(y2, y1 + 1), max(x2, x1 + 1))  # lies inside the voted box
    return replace(voted, box=box, mask=crop_mask(voted, box), score=float(scores.sum()) / views)


def _average_probabilities(
    members: Sequence[Detection], weights: np.ndarray, image_shape: Sequence[int]
) -> Detection | None:
    """Averages mask probabilities in the union of all frames, outside of which a member has the probability 0.

    Returns:
        The first member with the averaged mask, or None if a member has no probabilities or the mask is empty.
    """
    if any(member.probabilities is None or member.frame is None for member in members):
        return None
    frames = np.array([member.frame for member in members])
    union = np.concatenate([frames[:, :2].min(axis=0), frames[:, 2:].max(axis=0)])
    cells = np.array([member.probabilities.shape for member in members]).max(axis=0)
    cells = np.ceil(cells * (union[2:] - union[:2]) / (frames[:, 2:] - frames[:, :2]).mean(axis=0)).astype(int)
    total = np.zeros(cells, dtype=np.float32)
    for member, weight in zip(members, weights / weights.sum(), strict=True):
        total += np.float32(weight) * resample_mask(member.probabilities, member.frame, union, cells)
    total = drop_small_parts(total)
    box, mask = sample_mask(total, union, image_shape)
    if not mask.size:
        return None
    return replace(members[0], box=box, mask=mask, probabilities=total, frame=tuple(union.tolist()))
