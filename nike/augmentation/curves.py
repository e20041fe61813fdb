"""Outlines of shapes (splines, ellipses and ribbons) as `[P, 2]` float32 points (x, y)."""

from __future__ import annotations

import cv2
import numpy as np

_SHIFT = 6  # fraction bits of OpenCV's fixed-point coordinates


def spline(points, closed: bool = True, steps: int = 8) -> np.ndarray:
    """Interpolates points with a centripetal Catmull-Rom spline.

    The curve has no loops. Two points that are close together form a corner.

    Args:
        points: `[P, 2]` points, P >= 2.
        closed: whether the last point is connected to the first.
        steps: number of samples per segment.

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


def ellipse(radii, count: int = 40) -> np.ndarray:
    """Returns `[count, 2]` float32 points on an ellipse around the origin."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return (np.stack([np.cos(angle), np.sin(angle)], 1) * radii).astype(np.float32)


def ribbon(line, width) -> np.ndarray:
    """Returns the outline `[2 * P, 2]` float32 of a stroke along `line` `[P, 2]` with `width` (a scalar or `[P]`)."""
    line = np.asarray(line, np.float32)
    along = np.gradient(line, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], 1) / (np.linalg.norm(along, axis=1, keepdims=True) + 1e-6)
    half = np.broadcast_to(np.asarray(width, np.float32) / 2, len(line))[:, None]
    return np.concatenate([line + normal * half, (line - normal * half)[::-1]])


def normalize(outlines) -> list[np.ndarray]:
    """Centres outlines on the origin and scales their longer side to 1."""
    points = np.concatenate(outlines)
    low, high = points.min(axis=0), points.max(axis=0)
    side, middle = float((high - low).max()), (low + high) / 2
    return [((outline - middle) / side).astype(np.float32) for outline in outlines]


def rasterize(outlines, shape: tuple[int, int]) -> np.ndarray:
    """Fills outlines (pixels, even-odd rule) with antialiasing. Returns `[height, width]` uint8, 255 inside."""
    image = np.zeros(shape, np.uint8)
    # In OpenCV, coordinate 0 is the centre of the first pixel. In continuous coordinates, it is the edge of this pixel.
    fixed = [np.round((np.asarray(o, np.float64) - 0.5) * (1 << _SHIFT)).astype(np.int32) for o in outlines]
    cv2.fillPoly(image, fixed, 255, cv2.LINE_AA, _SHIFT)
    return image
