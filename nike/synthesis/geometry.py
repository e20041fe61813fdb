"""Curves, homographies, fine rasters, and the polygons that come back from them."""

from __future__ import annotations

import cv2
import numpy as np
from skimage.measure import find_contours

_SHIFT = 6  # cv2 takes sub-pixel coordinates as integers with this many fraction bits


def points(text: str) -> np.ndarray:
    """Outlines as text, one point after the other: "0 0  0.5 0.1  1 0" -> `[P, 2]` float64."""
    return np.array(text.split(), np.float64).reshape(-1, 2)


def spline(points, closed: bool = True, steps: int = 8) -> np.ndarray:
    """A smooth curve through points: centripetal Catmull-Rom, which never loops, so two close points make a corner.

    Args:
        points: `[P, 2]`, P >= 2.
        closed: Whether the last point joins the first.
        steps: Points per span.

    Returns:
        `[P * steps, 2]` float32, or `[(P - 1) * steps + 1, 2]` for an open curve.

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
    """Points `[count, 2]` float32 on an ellipse or an arc of one; angles in radians, y down."""
    t = np.linspace(start, stop, count, endpoint=abs(stop - start) < 2 * np.pi - 1e-6)
    points = np.stack([np.cos(t) * radii[0], np.sin(t) * radii[1]], 1)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (points @ turn + np.asarray(centre)).astype(np.float32)


def ribbon(line, width) -> np.ndarray:
    """The outline of a stroke: `line` `[P, 2]` given a `width` (a number, or `[P]` for one that changes)."""
    line = np.asarray(line, np.float32)
    along = np.gradient(line, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], 1) / (np.linalg.norm(along, axis=1, keepdims=True) + 1e-6)
    half = np.broadcast_to(np.asarray(width, np.float32) / 2, len(line))[:, None]
    return np.concatenate([line + normal * half, (line - normal * half)[::-1]])


def apply(matrix: np.ndarray, points) -> np.ndarray:
    """Points `[P, 2]` through a homography `[3, 3]`, as float32."""
    points = np.asarray(points, np.float64)
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    return (moved[:, :2] / moved[:, 2:]).astype(np.float32)


def pose(centre, size, angle: float = 0.0, mirror: bool = False, shear: float = 0.0, tilt=(0.0, 0.0)) -> np.ndarray:
    """A homography from a unit frame around the origin to the photo.

    Args:
        centre: (x, y) where the origin goes.
        size: One length, or (along x, along y): what one unit becomes, in pixels.
        angle: Turn in radians, clockwise as seen (y is down).
        mirror: Whether left and right change places first.
        shear: How far x moves per y.
        tilt: Perspective: how much nearer the right and the lower side are, |tilt| < 1.

    Returns:
        `[3, 3]` float64.
    """
    sx, sy = (size, size) if np.isscalar(size) else size
    flat = np.array([[-1.0 if mirror else 1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    lean = np.array([[1, shear, 0], [0, 1, 0], [-tilt[0], -tilt[1], 1.0]])
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, centre[0]], [s, c, centre[1]], [0, 0, 1.0]])
    return turn @ np.diag([sx, sy, 1.0]) @ lean @ flat


def bend(outlines, strength: float, arc: float = 0.0, squeeze: float = 0.0) -> list[np.ndarray]:
    """Lays a flat shape over a cylinder.

    Args:
        outlines: Polygons in a mark's own frame.
        strength: The angle in radians that half the shape covers, 0 for a plane: its ends turn away and look narrower.
        arc: How far the ends drop below the middle (seen from above or below), as a fraction of the width.
        squeeze: How much thinner the right end becomes (negative: thicker).
    """
    bent = []
    for outline in outlines:
        x, y = outline[:, 0], outline[:, 1]
        round_x = np.sin(2 * strength * x) / (2 * strength) if abs(strength) > 1e-3 else x
        bent.append(np.stack([round_x, y * (1 - squeeze * x) + arc * 4 * x**2], 1).astype(np.float32))
    return bent


def raster(outlines, shape: tuple[int, int], scale: int = 1) -> np.ndarray:
    """Fills polygons exactly (even-odd): a fine pixel is inside if its centre is.

    Args:
        outlines: Polygons in continuous pixels.
        shape: (height, width) of the window in pixels.
        scale: Fine pixels per pixel.

    Returns:
        uint8 `[height * scale, width * scale]`, 255 inside. Not cv2.fillPoly, which also fills the pixels that the edge
        only touches: a mark 14 px long would become a twentieth larger.
    """
    height, width = shape[0] * scale, shape[1] * scale
    start = np.concatenate([np.asarray(o, np.float64) for o in outlines]) * scale - 0.5  # centres become whole numbers
    stop = np.concatenate([np.roll(np.asarray(o, np.float64), -1, axis=0) for o in outlines]) * scale - 0.5
    first, last = np.sort(np.clip(np.ceil([start[:, 1], stop[:, 1]]), 0, height).astype(np.intp), axis=0)
    edge = np.repeat(np.arange(len(start)), last - first)  # every edge crosses the rows first..last - 1
    row = np.arange(len(edge)) - np.repeat(np.cumsum(last - first) - last, last - first)
    slope = (stop[edge, 0] - start[edge, 0]) / (stop[edge, 1] - start[edge, 1])
    column = np.ceil(start[edge, 0] + slope * (row - start[edge, 1]))
    crossings = np.zeros((height, width + 1), np.uint8)
    np.add.at(crossings, (row, np.clip(column, 0, width).astype(np.intp)), 1)
    return (np.cumsum(crossings[:, :width], axis=1, dtype=np.uint8) & 1) * np.uint8(255)


def smooth_raster(outlines, shape: tuple[int, int]) -> np.ndarray:
    """Fills polygons with antialiased edges, uint8 `[height, width]`: quick, for what needs no label."""
    image = np.zeros(shape, np.uint8)
    # Continuous coordinate u lies in pixel floor(u), whose centre cv2 calls floor(u): hence the half.
    fixed = [np.round((np.asarray(o, np.float64) - 0.5) * (1 << _SHIFT)).astype(np.int32) for o in outlines]
    cv2.fillPoly(image, fixed, 255, cv2.LINE_AA, _SHIFT)
    return image


def grow(fine: np.ndarray, distance: float) -> np.ndarray:
    """A raster (uint8, 255 inside) with its edge moved outwards by `distance` of its own pixels."""
    return ((cv2.distanceTransform(255 - fine, cv2.DIST_L2, 3) <= distance) * 255).astype(np.uint8)


def shrink(fine: np.ndarray, distance: float) -> np.ndarray:
    """A raster (uint8, 255 inside) with its edge moved inwards by `distance` of its own pixels."""
    return ((cv2.distanceTransform(fine, cv2.DIST_L2, 3) > distance) * 255).astype(np.uint8)


def polygons_of(fine: np.ndarray, scale: int, origin=(0, 0), min_area: float = 4.0) -> list[np.ndarray]:
    """The outer outlines of a fine raster: what a person would draw around each visible piece, holes filled.

    Args:
        fine: `[h, w]` uint8 or bool at `scale` fine pixels per pixel.
        scale: See above.
        origin: (x, y) of the window in the photo, pixels.
        min_area: Pieces under this many square pixels, or under a hundredth of the largest piece, are left out.

    Returns:
        Polygons `[P, 2]` float32 in continuous pixels of the photo, the largest first.
    """
    rings = rings_of(fine)
    areas = [signed_area(ring) for ring in rings]
    least = max(min_area * scale**2, max(areas, default=0) / 100)
    pieces = []
    for i in sorted(range(len(rings)), key=lambda i: -areas[i]):
        if areas[i] < least:
            break
        short = cv2.approxPolyDP(rings[i][:-1].astype(np.float32), 0.8, True)[:, 0]
        if len(short) >= 3:
            pieces.append((short / scale + np.asarray(origin)).astype(np.float32))
    return pieces


def rings_of(mask: np.ndarray) -> list[np.ndarray]:
    """All border lines of a mask `[h, w]`, closed `[P, 2]` (x, y) in its pixels; those around holes run the other way.

    The level line at one half crosses the edges between pixels: unlike a chain of pixel centres it neither loses half a
    pixel nor leans to one side of a staircase.
    """
    return [ring[:, ::-1] - 0.5 for ring in find_contours(np.pad(mask > 0, 1), 0.5)]  # padded by 1, centres at 0.5


def signed_area(ring: np.ndarray) -> float:
    """Area of a closed ring `[P, 2]`: negative if it is one of `rings_of` around a hole."""
    (x, y), (right, below) = ring[:-1].T, ring[1:].T
    return float(np.sum(x * below - right * y) / 2)
