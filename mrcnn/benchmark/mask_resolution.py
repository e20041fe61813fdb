"""Upper bound of mask quality: the IoU of objects with their own mask targets, pasted back into the image.

A network that predicted its targets exactly would reach this IoU. The objects are thin tapered crescents, rotated at
random, in images that are resized to half their size for the network.

python -m mrcnn.benchmark.mask_resolution
"""

import json

import numpy as np
from PIL import Image, ImageDraw

from mrcnn.layers.mask_refinement import PaddedFrames, RefinementTargets
from mrcnn.layers.mask_targets import crop_mask_targets
from mrcnn.ops.boxes import norm_boxes, pad_boxes
from mrcnn.ops.masks import FULL_COVERAGE, extract_bboxes, minimize_mask, paste_mask, resize_mask, sample_mask

SIDE = 1024  # side of the image in pixels
SCALE = 0.5  # scale factor from the image to the network input
LENGTHS = (24, 48, 96, 192, 384)  # lengths of the objects in pixels of the image
REPEATS = 20
PADDING = 0.15  # padding of the refinement
NO_PADDING = [(0, 0), (0, 0), (0, 0)]


def draw_crescent(length: float, rng: np.random.Generator) -> np.ndarray:
    """Draws a crescent, bool `[SIDE, SIDE]`. Its height is a third of its length, and both ends are tapered."""
    t = np.linspace(0, 1, 60)
    upper = np.stack([t, 0.35 * np.sin(np.pi * t)], axis=1)
    lower = np.stack([t, 0.15 * np.sin(np.pi * t) ** 2], axis=1)[::-1]
    angle = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (np.concatenate([upper, lower]) - 0.5) * length @ rotation + SIDE / 2 + rng.uniform(-8, 8, 2)
    oversampled = Image.new("L", (4 * SIDE, 4 * SIDE))
    ImageDraw.Draw(oversampled).polygon([tuple(point) for point in points * 4], fill=255)
    return np.asarray(oversampled.resize((SIDE, SIDE), Image.Resampling.BOX)) >= 128


def paste_target(
    mask: np.ndarray, mini: int, refined: int = 0, kind: str = "coverage", is_coverage: bool = False
) -> np.ndarray:
    """Computes the target of an object for its own box and pastes it into the image.

    Args:
        mask: bool `[SIDE, SIDE]`.
        mini: side of the mini masks.
        refined: side of the refined masks in cells; 0 for targets of the mask head, 28 cells.
        kind: mask targets of the mask head, "rounded" or "coverage".
        is_coverage: whether the mask is resized to uint8 coverage, as in `LogoAugmentation`, instead of bool.
    """
    resized = resize_mask(mask[..., None], SCALE, NO_PADDING)
    shape, inside = resized.shape[:2], resized
    if is_coverage:
        resized = np.asarray(Image.fromarray(mask * np.uint8(255)).resize(shape[::-1], Image.Resampling.BOX))[..., None]
        inside = resized > FULL_COVERAGE // 2
    box = extract_bboxes(inside)
    gt_masks = minimize_mask(box, resized, (mini, mini), is_coverage)[None]
    normalized = norm_boxes(box[None].astype(np.float32), shape)
    in_image = box[0] / SCALE
    if not refined:
        options = dict(mask_shape=(28, 28), use_mini_mask=True, image_shape=shape, kind=kind)
        slots = np.zeros((1, 1), np.int32)
        cells = np.asarray(crop_mask_targets(normalized, normalized, slots, gt_masks, **options))[0, 0]
        return paste_mask(cells, in_image.astype(int), mask.shape)
    image = np.zeros((1, *shape, 3), np.float32)
    frames = PaddedFrames(PADDING)([normalized, image])
    inputs = [normalized, frames, np.ones((1, 1), np.int32), normalized, gt_masks, image]
    cells = np.asarray(RefinementTargets(refined)(inputs))[0, 0]
    (y1, x1, y2, x2), crop = sample_mask(cells, pad_boxes(in_image, PADDING), mask.shape)
    pasted = np.zeros_like(mask)
    pasted[y1:y2, x1:x2] = crop
    return pasted


VARIANTS = {
    "28 cells, rounded, mini masks of 56": dict(mini=56, kind="rounded"),
    "28 cells, coverage, mini masks of 56": dict(mini=56),
    "112 cells, mini masks of 56": dict(mini=56, refined=112),
    "112 cells, mini masks of 224": dict(mini=224, refined=112),
    "112 cells, mini masks of 224 from coverage": dict(mini=224, refined=112, is_coverage=True),
}


def main() -> None:
    rng = np.random.default_rng(0)
    figures: dict[str, dict[int, float]] = {name: {} for name in VARIANTS}
    for length in LENGTHS:
        masks = [draw_crescent(length, rng) for _ in range(REPEATS)]
        for name, options in VARIANTS.items():
            pasted = [paste_target(mask, **options) for mask in masks]
            ious = [(a & b).sum() / (a | b).sum() for a, b in zip(masks, pasted, strict=True)]
            figures[name][length] = round(float(np.mean(ious)), 3)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
