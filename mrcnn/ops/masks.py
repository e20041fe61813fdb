"""Instance masks: their boxes, their way through the image resize, mini masks, and pasting back into the photo.

Masks of one photo are one array `[H, W, N]`, instance last, bool. Boxes are (y1, x1, y2, x2) in pixels, half-open.
"""

from collections.abc import Sequence

import numpy as np

from mrcnn.ops.resizing import input_positions, linear_bands, scaled_side

THRESHOLD = 0.5  # a pixel is inside an instance from this mask value on
LARGE_CELL = 1500  # photo pixels per mask pixel from which on it pays to interpolate only near the outline


def extract_bboxes(mask: np.ndarray) -> np.ndarray:
    """Tight boxes around masks.

    Args:
        mask: `[H, W, N]`, non-zero inside.

    Returns:
        `[N, 4]` int32 pixel boxes; an empty mask has the box (0, 0, 0, 0).

    Source: Matterport.
    """
    boxes = np.zeros((mask.shape[-1], 4), dtype=np.int32)
    if mask.size == 0:
        return boxes
    for axis, (first, last) in ((1, (0, 2)), (0, (1, 3))):
        occupied = mask.any(axis=axis)  # [H, N], then [W, N]
        boxes[:, first] = occupied.argmax(axis=0)
        boxes[:, last] = len(occupied) - occupied[::-1].argmax(axis=0)
        boxes[~occupied.any(axis=0)] = 0
    return boxes


def without_placeholders(masks: np.ndarray, class_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Masks `[H, W, N]` and class ids `[N]` without empty masks of class 0.

    That is how many scripts describe a photo that shows nothing: the original left out whatever has an empty mask.
    """
    if not (np.asarray(class_ids) == 0).any() or masks.shape[-1] != len(class_ids):  # a mismatch is reported elsewhere
        return masks, class_ids
    keep = np.flatnonzero((class_ids != 0) | masks.any(axis=(0, 1)))
    return masks[:, :, keep], class_ids[keep]


def _nearest(n_in: int, n_out: int) -> np.ndarray:
    """Index `[n_out]` of the input pixel that each output pixel copies; first and last pixels map onto each other."""
    step = (n_in - 1) / (n_out - 1) if n_out > 1 else 0.0
    return np.minimum(np.floor(np.arange(n_out) * step + 0.5).astype(np.intp), n_in - 1)


def resize_mask(
    mask: np.ndarray,
    scale: float,
    padding: Sequence[tuple[int, int]],
    crop: tuple[int, int, int, int] | None = None,
) -> np.ndarray:
    """Takes masks through the resize that `resize_image` did to their photo.

    Copies nearest pixels, with the corner pixels of the two grids on each other, as `scipy.ndimage.zoom(order=0)` does.
    The photo itself is resized with its edges aligned, so towards the border a mask is off by up to half a pixel of the
    coarser grid; checkpoints were trained so.

    Args:
        mask: `[H, W, N]`, any dtype.
        scale: scale that `resize_image` returned.
        padding: [(top, bottom), (left, right), (0, 0)] that it returned; not used with a crop.
        crop: (y, x, height, width) that it returned, or None.

    Returns:
        `[H', W', N]` of the same dtype, padded with 0.

    Source: Matterport.
    Differs from scipy's `zoom`: there the last row or column is sometimes lost to rounding (filled with 0); here never.
    """
    height, width = mask.shape[:2]
    rows = _nearest(height, scaled_side(height, scale))
    cols = _nearest(width, scaled_side(width, scale))
    if crop is not None:
        y, x, crop_height, crop_width = crop
        rows, cols, padding = rows[y : y + crop_height], cols[x : x + crop_width], ((0, 0), (0, 0), (0, 0))
    (top, bottom), (left, right) = padding[:2]
    resized = np.zeros((top + len(rows) + bottom, left + len(cols) + right, *mask.shape[2:]), dtype=mask.dtype)
    resized[top : top + len(rows), left : left + len(cols)] = mask[rows][:, cols]
    return resized


def _draw(mask: np.ndarray, box: Sequence[int], inside: np.ufunc, out: np.ndarray) -> None:
    """Draws one mask `[h, w]`, stretched to its box, into `out` `[H, W]`, a bool array of the photo's size, all False.

    `inside` is `np.greater_equal` or `np.greater`: whether a value of exactly THRESHOLD is inside. What lies outside
    `out` is not computed, and a box without area draws nothing.
    """
    y1, x1, y2, x2 = (int(side) for side in box)
    shape = y2 - y1, x2 - x1
    rows = max(-y1, 0), min(shape[0], out.shape[0] - y1)  # the part of the box that is in the photo, in the box's frame
    cols = max(-x1, 0), min(shape[1], out.shape[1] - x1)
    if rows[0] >= rows[1] or cols[0] >= cols[1]:
        return
    out = out[y1 + rows[0] : y1 + rows[1], x1 + cols[0] : x1 + cols[1]]
    if inside(mask.min(), THRESHOLD):  # the border of a resized mask never fades below the mask's own minimum
        out[:] = True
    elif shape[0] * shape[1] < LARGE_CELL * mask.size:
        _fill(mask, shape, rows, cols, inside, out)
    else:
        _fill_by_cells(mask, shape, rows, cols, inside, out)


def _fill(mask, shape, rows, cols, inside, out) -> None:
    """`out` = part `rows`, `cols` of `mask` resized to `shape` and compared with THRESHOLD."""
    for start, band in linear_bands(mask, shape, rows, cols, clip=False):
        inside(band, THRESHOLD, out=out[start : start + len(band)])


def _fill_by_cells(mask, shape, rows, cols, inside, out) -> None:
    """The same for large boxes and an `out` that is all False, by interpolating only near the outline.

    Between four neighbouring mask pixels, all inside or all outside, interpolation cannot cross the threshold.
    """
    corners = np.pad(inside(mask, THRESHOLD), 1).astype(np.int8)  # beyond the mask is 0
    corners = corners[:-1] + corners[1:]
    corners = corners[:, :-1] + corners[:, 1:]  # [h+1, w+1] cells: how many corners are inside
    cells = np.where(corners % 4, 1, corners)  # 0 none, 4 all, 1 the outline passes here
    y_edges, x_edges = (
        start + np.searchsorted(np.floor(input_positions(n_in, n_out, start, stop)), np.arange(-1, n_in + 1))
        for n_in, n_out, (start, stop) in zip(mask.shape, shape, (rows, cols), strict=True)
    )  # cell i covers the pixels edges[i] .. edges[i + 1] - 1
    for line, top, bottom in zip(cells, y_edges[:-1], y_edges[1:], strict=True):
        runs = np.flatnonzero(np.diff(line, prepend=-1, append=-1))
        for first, last in zip(runs[:-1], runs[1:], strict=True):
            left, right = x_edges[first], x_edges[last]
            part = out[top - rows[0] : bottom - rows[0], left - cols[0] : right - cols[0]]
            if line[first] == 4:
                part[:] = True
            elif line[first] == 1 and part.size:
                _fill(mask, shape, (top, bottom), (left, right), inside, part)


def minimize_mask(bbox: np.ndarray, mask: np.ndarray, mini_shape: tuple[int, int]) -> np.ndarray:
    """Cuts masks to their boxes and shrinks them: a tenth of the memory and more for photos with many instances.

    Args:
        bbox: `[N, 4]` int pixel boxes of the masks.
        mask: `[H, W, N]`, non-zero inside.
        mini_shape: (height, width) of the mini masks.

    Returns:
        `[height, width, N]` bool; a value of exactly one half counts as outside.

    Raises:
        ValueError: a box has no area inside its mask.

    Source: Matterport.
    """
    mini_mask = np.zeros((*mini_shape[:2], mask.shape[-1]), dtype=bool)
    for i in range(mask.shape[-1]):
        y1, x1, y2, x2 = bbox[i][:4]
        inside_box = mask[y1:y2, x1:x2, i].astype(bool)
        if inside_box.size == 0:
            raise ValueError(
                f"minimize_mask: box {i} {tuple(int(side) for side in bbox[i][:4])} has no area in a mask of "
                f"{mask.shape[0]}x{mask.shape[1]} pixels. Drop instances with empty masks first."
            )
        _draw(inside_box, (0, 0, *mini_mask.shape[:2]), np.greater, out=mini_mask[:, :, i])
    return mini_mask


def expand_mask(bbox: np.ndarray, mini_mask: np.ndarray, image_shape: Sequence[int]) -> np.ndarray:
    """Undoes `minimize_mask`, as far as the mini masks' resolution allows.

    Args:
        bbox: `[N, 4]` int pixel boxes of the mini masks.
        mini_mask: `[h, w, N]`.
        image_shape: (H, W) in pixels; further items are ignored.

    Returns:
        `[H, W, N]` bool.

    Source: Matterport.
    """
    count = mini_mask.shape[-1]
    masks = np.zeros((count, *image_shape[:2]), dtype=bool)
    for i in range(count):
        _draw(mini_mask[:, :, i], bbox[i][:4], np.greater, out=masks[i])
    return masks.transpose(1, 2, 0)


def mold_mask(mask: np.ndarray, config) -> None:
    """Does nothing and returns None, as the function of this name in the original. Source: Matterport."""


def unmold_mask(mask: np.ndarray, bbox: Sequence[int], image_shape: Sequence[int]) -> np.ndarray:
    """Turns one mask of the network into a mask of the photo.

    Args:
        mask: `[M, M]` float, probabilities inside the box.
        bbox: (y1, x1, y2, x2) int pixels of the photo. What is outside the photo is cut off; without area: empty.
        image_shape: (H, W) of the photo; further items are ignored.

    Returns:
        `[H, W]` bool: probability of at least one half.

    Source: Matterport.
    """
    full_mask = np.zeros(tuple(image_shape[:2]), dtype=bool)
    _draw(np.asarray(mask), bbox, np.greater_equal, out=full_mask)
    return full_mask


def paste_mask(mask: np.ndarray, box: Sequence[int]) -> np.ndarray:
    """A mask of the network at the resolution of its box.

    Args:
        mask: `[M, M]` float, probabilities inside the box.
        box: (y1, x1, y2, x2) int pixels, not empty.

    Returns:
        bool `[y2 - y1, x2 - x1]`, equal to the box's part of `unmold_mask`.
    """
    height, width = int(box[2] - box[0]), int(box[3] - box[1])
    crop = np.zeros((height, width), dtype=bool)
    _draw(mask, (0, 0, height, width), np.greater_equal, out=crop)
    return crop
