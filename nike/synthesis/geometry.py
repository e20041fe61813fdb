"""Curves, homographies, rasterisation and polygon extraction."""

from __future__ import annotations

import cv2
import numpy as np
from skimage.measure import find_contours

_SHIFT = 6  # fraction bits of OpenCV's fixed-point coordinates


def parse_points(text: str) -> np.ndarray:
    """Parses points such as "0 0  0.5 0.1  1 0" into `[P, 2]` float64."""
    return np.array(text.split(), np.float64).reshape(-1, 2)


def spline(points, closed: bool = True, steps: int = 8) -> np.ndarray:
    """Interpolates points with a centripetal Catmull-Rom spline.

    The curve has no loops, and two close points form a corner.

    Args:
        points: `[P, 2]` points, P >= 2.
        closed: Whether the last point is connected to the first.
        steps: Number of samples per segment.

    Returns:
        `[P * steps, 2]` float32 points, or `[(P - 1) * steps + 1, 2]` for an open curve.

    Source: Yuksel, Schaefer, Keyser, "On the Parameterization of Catmull-Rom Curves", 2009.
    """
    b = np.asarray(points, np.float32)
    if closed:
        a, c, d = np.roll(b, 1, 0), np.roll(b, -1, 0), np.roll(b, -2, 0)
    else:
        padded = np.concatenate([2 * b[:1] - b[1:2], b, 2 * b[-1:] - b[-2:-1]])
        a, b, c, d = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    before, span, after = (
        np.sqrt(np.linalg.norm(q - p, axis=1, keepdims=True)) + 1e-6 for p, q in ((a, b), (b, c), (c, d))
    )
    start = span * ((b - a) / before - (c - a) / (before + span) + (c - b) / span)  # tangents at b and c
    stop = span * ((c - b) / span - (d - b) / (span + after) + (d - c) / after)
    t = (np.arange(steps, dtype=np.float32) / steps)[None, :, None]
    b, c, start, stop = (q[:, None] for q in (b, c, start, stop))
    curve = (
        (2 * t**3 - 3 * t**2 + 1) * b + (t**3 - 2 * t**2 + t) * start + (3 * t**2 - 2 * t**3) * c + (t**3 - t**2) * stop
    )
    curve = curve.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, c[-1]])


def ellipse(
    centre, radii, angle: float = 0.0, count: int = 40, start: float = 0.0, stop: float = 2 * np.pi
) -> np.ndarray:
    """Returns `[count, 2]` float32 points on an ellipse or an elliptical arc. Angles are in radians with y down."""
    t = np.linspace(start, stop, count, endpoint=abs(stop - start) < 2 * np.pi - 1e-6)
    points = np.stack([np.cos(t) * radii[0], np.sin(t) * radii[1]], 1)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (points @ rotation + np.asarray(centre)).astype(np.float32)


def ribbon(line, width) -> np.ndarray:
    """Returns the outline `[2 * P, 2]` float32 of a stroke along `line` `[P, 2]` with `width` (a scalar or `[P]`)."""
    line = np.asarray(line, np.float32)
    along = np.gradient(line, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], 1) / (np.linalg.norm(along, axis=1, keepdims=True) + 1e-6)
    half = np.broadcast_to(np.asarray(width, np.float32) / 2, len(line))[:, None]
    return np.concatenate([line + normal * half, (line - normal * half)[::-1]])


def transform(matrix: np.ndarray, points) -> np.ndarray:
    """Applies a homography `[3, 3]` to points `[P, 2]` and returns float32."""
    points = np.asarray(points, np.float64)
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    return (moved[:, :2] / moved[:, 2:]).astype(np.float32)


def pose(centre, size, angle: float = 0.0, mirror: bool = False, shear: float = 0.0, tilt=(0.0, 0.0)) -> np.ndarray:
    """Returns the homography from a unit frame around the origin to the image.

    Args:
        centre: (x, y) position of the origin in the image.
        size: Length of one unit in pixels, a scalar or (x, y).
        angle: Clockwise rotation in radians (y points down).
        mirror: Whether x is mirrored first.
        shear: Shift of x per unit of y.
        tilt: (x, y) perspective distortion, below 1 in magnitude. Positive values enlarge the right and the lower side.

    Returns:
        `[3, 3]` float64 homography.
    """
    sx, sy = (size, size) if np.isscalar(size) else size
    flat = np.array([[-1.0 if mirror else 1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    lean = np.array([[1, shear, 0], [0, 1, 0], [-tilt[0], -tilt[1], 1.0]])
    c, s = np.cos(angle), np.sin(angle)
    rotation = np.array([[c, -s, centre[0]], [s, c, centre[1]], [0, 0, 1.0]])
    return rotation @ np.diag([sx, sy, 1.0]) @ lean @ flat


def bend(outlines, strength: float, arc: float = 0.0, squeeze: float = 0.0) -> list[np.ndarray]:
    """Projects a flat shape onto a cylinder.

    Args:
        outlines: Polygons `[P, 2]` in the unit frame of `nike.synthesis.logo.Logo`.
        strength: Angle in radians that half of the shape covers. 0 is a plane.
        arc: Drop of the two ends below the middle, as a fraction of the width.
        squeeze: Reduction of the height towards the right end. Negative values increase it.

    Returns:
        Polygons `[P, 2]` float32.
    """
    bent = []
    for outline in outlines:
        x, y = outline[:, 0], outline[:, 1]
        round_x = np.sin(2 * strength * x) / (2 * strength) if abs(strength) > 1e-3 else x
        bent.append(np.stack([round_x, y * (1 - squeeze * x) + arc * 4 * x**2], 1).astype(np.float32))
    return bent


def rasterize(outlines, shape: tuple[int, int], scale: int = 1) -> np.ndarray:
    """Rasterises polygons with the even-odd rule. A pixel is inside if its centre is.

    `cv2.fillPoly` is not used because it also fills pixels that the edge only touches, which enlarges small shapes.

    Args:
        outlines: Polygons `[P, 2]` in continuous pixels.
        shape: (height, width) of the window in pixels.
        scale: Supersampling factor.

    Returns:
        `[height * scale, width * scale]` uint8 mask, 255 inside.
    """
    height, width = shape[0] * scale, shape[1] * scale
    start = np.concatenate([np.asarray(o, np.float64) for o in outlines]) * scale - 0.5  # pixel centres at integers
    stop = np.concatenate([np.roll(np.asarray(o, np.float64), -1, axis=0) for o in outlines]) * scale - 0.5
    first, last = np.sort(np.clip(np.ceil([start[:, 1], stop[:, 1]]), 0, height).astype(np.intp), axis=0)
    edge = np.repeat(np.arange(len(start)), last - first)  # each edge crosses the rows first..last - 1
    row = np.arange(len(edge)) - np.repeat(np.cumsum(last - first) - last, last - first)
    slope = (stop[edge, 0] - start[edge, 0]) / (stop[edge, 1] - start[edge, 1])
    column = np.ceil(start[edge, 0] + slope * (row - start[edge, 1]))
    crossings = np.zeros((height, width + 1), np.uint8)
    np.add.at(crossings, (row, np.clip(column, 0, width).astype(np.intp)), 1)
    return (np.cumsum(crossings[:, :width], axis=1, dtype=np.uint8) & 1) * np.uint8(255)


def rasterize_smooth(outlines, shape: tuple[int, int]) -> np.ndarray:
    """Rasterises polygons with antialiasing into `[height, width]` uint8. Faster but less exact than `rasterize`."""
    image = np.zeros(shape, np.uint8)
    # OpenCV's coordinates are 0 at the centre of the first pixel, continuous coordinates are 0 at its edge.
    fixed = [np.round((np.asarray(o, np.float64) - 0.5) * (1 << _SHIFT)).astype(np.int32) for o in outlines]
    cv2.fillPoly(image, fixed, 255, cv2.LINE_AA, _SHIFT)
    return image


def dilate(mask: np.ndarray, distance: float) -> np.ndarray:
    """Dilates a mask (`[h, w]` uint8, 255 inside) by a Euclidean `distance` in its pixels."""
    return ((cv2.distanceTransform(255 - mask, cv2.DIST_L2, 3) <= distance) * 255).astype(np.uint8)


def erode(mask: np.ndarray, distance: float) -> np.ndarray:
    """Erodes a mask (`[h, w]` uint8, 255 inside) by a Euclidean `distance` in its pixels."""
    return ((cv2.distanceTransform(mask, cv2.DIST_L2, 3) > distance) * 255).astype(np.uint8)


def find_polygons(mask: np.ndarray, scale: int, origin=(0, 0), min_area: float = 4.0) -> list[np.ndarray]:
    """Extracts the outer outlines of a supersampled mask. Holes are filled.

    Args:
        mask: `[h, w]` uint8 or bool mask.
        scale: Supersampling factor.
        origin: (x, y) position of the window in the image, in pixels.
        min_area: Minimum area of a component in square pixels. Components below 1% of the largest one are also dropped.

    Returns:
        Polygons `[P, 2]` float32 in continuous pixels of the image, sorted by decreasing area.
    """
    rings = find_rings(mask)
    areas = [signed_area(ring) for ring in rings]
    threshold = max(min_area * scale**2, max(areas, default=0) / 100)
    polygons = []
    for i in sorted(range(len(rings)), key=lambda i: -areas[i]):
        if areas[i] < threshold:
            break
        simplified = cv2.approxPolyDP(rings[i][:-1].astype(np.float32), 0.8, True)[:, 0]
        if len(simplified) >= 3:
            polygons.append((simplified / scale + np.asarray(origin)).astype(np.float32))
    return polygons


def find_rings(mask: np.ndarray) -> list[np.ndarray]:
    """Traces all boundaries of a mask `[h, w]`.

    The contour at level 0.5 runs between pixels, so unlike a chain of pixel centres it encloses the whole area.

    Returns:
        Closed rings `[P, 2]` (x, y) float64 in pixels of the mask. Rings around holes have the opposite orientation.
    """
    return [ring[:, ::-1] - 0.5 for ring in find_contours(np.pad(mask > 0, 1), 0.5)]  # undoes the padding


def signed_area(ring: np.ndarray) -> float:
    """Returns the area of a closed ring `[P, 2]`, negative for rings of `find_rings` around holes."""
    (x, y), (right, below) = ring[:-1].T, ring[1:].T
    return float(np.sum(x * below - right * y) / 2)
