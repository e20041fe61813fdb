"""Instance masks: bounding boxes, resizing, mini masks, and pasting of predicted masks into the image.

The masks of one image are a bool array `[H, W, N]`. Boxes are (y1, x1, y2, x2) in pixels, half-open.
"""

from collections.abc import Sequence

import numpy as np

from mrcnn.ops.resizing import input_positions, linear_bands, scaled_side

THRESHOLD = 0.5  # mask value at the outline
MIN_PART_FRACTION = 0.05  # minimum area of a part of a mask, as a fraction of the area of the largest part
FULL_COVERAGE = 255  # coverage of a pixel that is entirely inside an object; more than half counts as inside
LARGE_CELL = 1500  # image pixels per mask pixel above which it is faster to interpolate only near the outline


def extract_bboxes(mask: np.ndarray) -> np.ndarray:
    """Computes the bounding boxes of masks.

    Args:
        mask: `[H, W, N]`, non-zero inside.

    Returns:
        `[N, 4]` int32 pixel boxes; (0, 0, 0, 0) for empty masks.

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


def mask_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Returns the bounding box of one mask `[H, W]`; (0, 0, 0, 0) for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def drop_placeholders(
    masks: np.ndarray, class_ids: np.ndarray, keypoints: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Removes empty masks of class 0 from masks `[H, W, N]`, class ids `[N]` and keypoints `[N, J, 3]`, if any.

    Many Matterport scripts return one empty mask for an image without objects, because Matterport's code drops empty
    masks.
    """
    if not (np.asarray(class_ids) == 0).any() or masks.shape[-1] != len(class_ids):  # the caller reports mismatches
        return masks, class_ids, keypoints
    keep = np.flatnonzero((class_ids != 0) | masks.any(axis=(0, 1)))
    return masks[:, :, keep], class_ids[keep], None if keypoints is None else keypoints[keep]


def _nearest_indices(n_in: int, n_out: int) -> np.ndarray:
    """Returns the input index of each output pixel `[n_out]`. The first and the last pixels are aligned."""
    step = (n_in - 1) / (n_out - 1) if n_out > 1 else 0.0
    return np.minimum(np.floor(np.arange(n_out) * step + 0.5).astype(np.intp), n_in - 1)


def resize_mask(
    mask: np.ndarray,
    scale: float,
    padding: Sequence[tuple[int, int]],
    crop: tuple[int, int, int, int] | None = None,
) -> np.ndarray:
    """Resizes masks in the same way as `resize_image` resized the image.

    Uses nearest neighbour interpolation with aligned corner pixels, like `scipy.ndimage.zoom(order=0)`. The image is
    resized with aligned edges instead, so masks are shifted by up to half a pixel of the coarser grid near the border.
    Checkpoints were trained with this shift.

    Args:
        mask: `[H, W, N]` of any dtype.
        scale: scale returned by `resize_image`.
        padding: [(top, bottom), (left, right), (0, 0)] returned by `resize_image`; ignored with a crop.
        crop: (y, x, height, width) returned by `resize_image`, or None.

    Returns:
        `[H', W', N]` of the same dtype, zero-padded.

    Source: Matterport.
    Differs from scipy's `zoom`, where rounding sometimes sets the last row or column to 0.
    """
    height, width = mask.shape[:2]
    rows = _nearest_indices(height, scaled_side(height, scale))
    cols = _nearest_indices(width, scaled_side(width, scale))
    if crop is not None:
        y, x, crop_height, crop_width = crop
        rows, cols, padding = rows[y : y + crop_height], cols[x : x + crop_width], ((0, 0), (0, 0), (0, 0))
    (top, bottom), (left, right) = padding[:2]
    resized = np.zeros((top + len(rows) + bottom, left + len(cols) + right, *mask.shape[2:]), dtype=mask.dtype)
    resized[top : top + len(rows), left : left + len(cols)] = mask[rows][:, cols]
    return resized


def _paste(mask: np.ndarray, box: Sequence[int], inside: np.ufunc, out: np.ndarray) -> None:
    """Resizes a mask to its box, thresholds it, and writes it to `out` in place.

    Args:
        mask: `[h, w]`.
        box: (y1, x1, y2, x2) in pixels of `out`. Only the part inside `out` is computed. Empty boxes are ignored.
        inside: `np.greater_equal` or `np.greater`, the comparison with THRESHOLD.
        out: bool `[H, W]`, all False.
    """
    y1, x1, y2, x2 = (int(side) for side in box)
    shape = y2 - y1, x2 - x1
    rows = max(-y1, 0), min(shape[0], out.shape[0] - y1)  # visible part of the box, relative to the box
    cols = max(-x1, 0), min(shape[1], out.shape[1] - x1)
    if rows[0] >= rows[1] or cols[0] >= cols[1]:
        return
    out = out[y1 + rows[0] : y1 + rows[1], x1 + cols[0] : x1 + cols[1]]
    if inside(mask.min(), THRESHOLD):  # the border fades to 0, but clipping keeps it at or above the minimum
        out[:] = True
    elif shape[0] * shape[1] < LARGE_CELL * mask.size:
        _fill(mask, shape, rows, cols, inside, out)
    else:
        _fill_by_cells(mask, shape, rows, cols, inside, out)


def _fill(mask, shape, rows, cols, inside, out) -> None:
    """Resizes `mask` to `shape`, thresholds it, and writes the part `rows`, `cols` to `out`."""
    for start, band in linear_bands(mask, shape, rows, cols, clip=False):
        inside(band, THRESHOLD, out=out[start : start + len(band)])


def _fill_by_cells(mask, shape, rows, cols, inside, out) -> None:
    """Like `_fill`, but interpolates only near the outline, which is faster for large boxes. `out` must be all False.

    Interpolation between four neighbouring mask pixels that are all inside or all outside cannot cross the threshold.
    """
    corners = np.pad(inside(mask, THRESHOLD), 1).astype(np.int8)  # values outside the mask are 0
    corners = corners[:-1] + corners[1:]
    corners = corners[:, :-1] + corners[:, 1:]  # [h+1, w+1] number of corners inside, per cell
    cells = np.where(corners % 4, 1, corners)  # 0: outside, 4: inside, 1: outline
    y_edges, x_edges = (
        start + np.searchsorted(np.floor(input_positions(n_in, n_out, start, stop)), np.arange(-1, n_in + 1))
        for n_in, n_out, (start, stop) in zip(mask.shape, shape, (rows, cols), strict=True)
    )  # cell i covers pixels edges[i] to edges[i + 1] - 1
    for line, top, bottom in zip(cells, y_edges[:-1], y_edges[1:], strict=True):
        runs = np.flatnonzero(np.diff(line, prepend=-1, append=-1))
        for first, last in zip(runs[:-1], runs[1:], strict=True):
            left, right = x_edges[first], x_edges[last]
            part = out[top - rows[0] : bottom - rows[0], left - cols[0] : right - cols[0]]
            if line[first] == 4:
                part[:] = True
            elif line[first] == 1 and part.size:
                _fill(mask, shape, (top, bottom), (left, right), inside, part)


def minimize_mask(
    bbox: np.ndarray, mask: np.ndarray, mini_shape: tuple[int, int], is_coverage: bool = False
) -> np.ndarray:
    """Crops masks to their boxes and resizes them to a fixed size, which saves memory.

    Args:
        bbox: `[N, 4]` int pixel boxes of the masks.
        mask: `[H, W, N]`, non-zero inside.
        mini_shape: (height, width) of the mini masks.
        is_coverage: whether `mask` is uint8 coverage in 0..FULL_COVERAGE, which gives outlines sub-pixel precision.

    Returns:
        `[height, width, N]` bool; a value of exactly 0.5 is outside.

    Raises:
        ValueError: if a box has no area inside the image.

    Source: Matterport.
    """
    mini_mask = np.zeros((*mini_shape[:2], mask.shape[-1]), dtype=bool)
    for i in range(mask.shape[-1]):
        y1, x1, y2, x2 = bbox[i][:4]
        inside_box = mask[y1:y2, x1:x2, i]
        inside_box = inside_box / np.float32(FULL_COVERAGE) if is_coverage else inside_box.astype(bool)
        if inside_box.size == 0:
            raise ValueError(
                f"minimize_mask: box {i} {tuple(int(side) for side in bbox[i][:4])} has no area in a mask of "
                f"{mask.shape[0]}x{mask.shape[1]} pixels. Drop instances with empty masks first."
            )
        _paste(inside_box, (0, 0, *mini_mask.shape[:2]), np.greater, out=mini_mask[:, :, i])
    return mini_mask


def expand_mask(bbox: np.ndarray, mini_mask: np.ndarray, image_shape: Sequence[int]) -> np.ndarray:
    """Inverts `minimize_mask`, up to the resolution of the mini masks.

    Args:
        bbox: `[N, 4]` int pixel boxes of the mini masks.
        mini_mask: `[h, w, N]`.
        image_shape: (H, W, ...) in pixels.

    Returns:
        `[H, W, N]` bool.

    Source: Matterport.
    """
    count = mini_mask.shape[-1]
    masks = np.zeros((count, *image_shape[:2]), dtype=bool)
    for i in range(count):
        _paste(mini_mask[:, :, i], bbox[i][:4], np.greater, out=masks[i])
    return masks.transpose(1, 2, 0)


def paste_mask(mask: np.ndarray, box: Sequence[int], image_shape: Sequence[int]) -> np.ndarray:
    """Pastes a predicted mask into an array of the size of the image: resizes it to its box and thresholds it at 0.5.

    Args:
        mask: `[h, w]` float or bool, probabilities inside the box.
        box: (y1, x1, y2, x2) int pixels of the image; parts outside the image are cropped.
        image_shape: (H, W, ...) of the image.

    Returns:
        bool `[H, W]`, True for probabilities of at least 0.5; all False for a zero-area box.

    Source: Matterport.
    """
    full_mask = np.zeros(tuple(image_shape[:2]), dtype=bool)
    _paste(np.asarray(mask), box, np.greater_equal, out=full_mask)
    return full_mask


def mask_in_box(mask: np.ndarray, box: Sequence[int]) -> np.ndarray:
    """Resizes a predicted mask to the size of its box and thresholds it at 0.5.

    Args:
        mask: `[M, M]` float, probabilities inside the box.
        box: (y1, x1, y2, x2) int pixels, not empty.

    Returns:
        bool `[y2 - y1, x2 - x1]`.
    """
    height, width = int(box[2] - box[0]), int(box[3] - box[1])
    return paste_mask(mask, (0, 0, height, width), (height, width))


def sample_mask(
    mask: np.ndarray, frame: Sequence[float], image_shape: Sequence[int]
) -> tuple[tuple[int, int, int, int], np.ndarray]:
    """Samples a predicted mask at the pixel centres of the image and thresholds it at 0.5.

    Args:
        mask: `[h, w]` float, probabilities inside the frame.
        frame: (y1, x1, y2, x2) float pixels of the image; may extend beyond the image.
        image_shape: (H, W, ...) of the image.

    Returns:
        box: the smallest int pixel box of the mask; (0, 0, 0, 0) if no pixel is inside.
        crop: bool `[y2 - y1, x2 - x1]`.
    """
    frame = np.asarray(frame, dtype=np.float64)
    starts = np.maximum(np.floor(frame[:2]), 0).astype(int)
    stops = np.minimum(np.ceil(frame[2:]), image_shape[:2]).astype(int)
    if (stops <= starts).any():
        return (0, 0, 0, 0), np.zeros((0, 0), dtype=bool)
    y, x = (np.arange(start, stop) + 0.5 for start, stop in zip(starts, stops, strict=True))
    inside = _interpolate(mask, frame, y, x) >= THRESHOLD
    y1, x1, y2, x2 = mask_box(inside)
    crop = inside[y1:y2, x1:x2].copy()
    if not crop.size:
        return (0, 0, 0, 0), crop
    top, left = starts.tolist()
    return (y1 + top, x1 + left, y2 + top, x2 + left), crop


def drop_small_parts(mask: np.ndarray) -> np.ndarray:
    """Sets the small parts of a predicted mask to 0, such as specks beside the object.

    Args:
        mask: `[h, w]` float, probabilities.

    Returns:
        The mask without the 8-connected parts of cells of at least 0.5 that are smaller than MIN_PART_FRACTION of the
        largest part; `mask` itself if there are none.
    """
    parts = _number_parts(mask >= THRESHOLD)
    areas = np.bincount(parts.ravel())
    areas[0] = areas[1:].max(initial=0)  # cells below 0.5 are kept
    is_small = areas < MIN_PART_FRACTION * areas[0]
    return np.where(is_small[parts], 0, mask) if is_small.any() else mask


def _number_parts(inside: np.ndarray) -> np.ndarray:
    """Returns the number of the 8-connected part of each cell of a bool mask `[h, w]`, and 0 for cells outside."""
    try:
        import cv2  # imports 0.15 s faster than scikit-image, but requires libraries that minimal containers lack
    except ImportError:
        from skimage.measure import label

        return label(inside, connectivity=2)
    return cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)[1]


def resample_mask(mask: np.ndarray, frame: Sequence[float], new_frame: np.ndarray, cells: Sequence[int]) -> np.ndarray:
    """Resamples a predicted mask in another frame.

    Args:
        mask: `[h, w]` float, probabilities inside `frame`.
        frame, new_frame: (y1, x1, y2, x2) float, in the same coordinates.
        cells: (rows, columns) of the result.

    Returns:
        float32 `[rows, columns]`, probabilities inside `new_frame`; 0 outside `frame`.
    """
    frame, new_frame = np.asarray(frame, dtype=np.float64), np.asarray(new_frame, dtype=np.float64)
    y, x = (
        low + (np.arange(count) + 0.5) * (high - low) / count
        for low, high, count in zip(new_frame[:2], new_frame[2:], cells, strict=True)
    )
    inside_y, inside_x = (y >= frame[0]) & (y <= frame[2]), (x >= frame[1]) & (x <= frame[3])
    return _interpolate(mask, frame, y, x) * np.outer(inside_y, inside_x)


def _interpolate(mask: np.ndarray, frame: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Interpolates a mask `[h, w]` inside a frame bilinearly at points `y [n]` x `x [m]`. Returns float32 `[n, m]`."""
    rows = _neighbours(y, frame[0], frame[2], mask.shape[0])
    cols = _neighbours(x, frame[1], frame[3], mask.shape[1])
    values = np.float32(mask)
    values = values[rows[0]] * (1 - rows[2][:, None]) + values[rows[1]] * rows[2][:, None]  # [n, w]
    return values[:, cols[0]] * (1 - cols[2]) + values[:, cols[1]] * cols[2]


def _neighbours(points: np.ndarray, first: float, last: float, cells: int) -> tuple[np.ndarray, ...]:
    """Returns both neighbouring cells of each point, and the weight of the second cell."""
    position = (points - first) * (cells / (last - first)) - 0.5
    position = np.clip(position, 0, cells - 1).astype(np.float32)
    low = np.minimum(position.astype(np.intp), cells - 1)
    return low, np.minimum(low + 1, cells - 1), position - low
