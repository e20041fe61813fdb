"""Validation and rasterization of labelme shapes. The masks are identical to labelme's.

Shapes are untrusted input. `parse_shape` ensures that `draw` does not fail or use excessive time or memory.
Points are (x, y) in pixels of the upright photo (EXIF orientation applied). Masks are bool `[H, W]`.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw

from mrcnn.errors import UserError
from mrcnn.ops.polygons import fill, has_area
from nike.formatting import plural, short

# Minimum and maximum number of points of each shape type.
POINT_COUNTS = {
    "polygon": (3, None),
    "rectangle": (2, 2),
    "circle": (2, 2),  # centre and a point on the circle
    "oriented_rectangle": (4, 4),
    "mask": (2, 2),  # top-left and bottom-right pixel of the PNG's box
}
WITHOUT_AREA = ("line", "linestrip", "point", "points")  # shape types without an interior

# Without these limits, Pillow takes minutes to draw a malicious shape. Manual annotations do not reach the limits.
MAX_COORDINATE = 1e6
MAX_POINTS = 100_000
MAX_OUTLINE_LENGTH = 1_000_000  # pixels, about 70 times the perimeter of a 12-megapixel photo
MAX_LABEL_LENGTH = 200  # characters
ELLIPSE_POINTS = 72


class ShapeError(UserError):
    """A shape is invalid. The message states the problem and how to fix it. `code` is the type of the problem."""

    def __init__(self, message: str, code: str = "shape-invalid"):
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, eq=False)
class Shape:
    """A validated shape.

    Attributes:
        kind: str, shape type, a key of POINT_COUNTS.
        points: float64 `[P, 2]`, (x, y) in pixels.
        png: bytes, PNG file with the pixels of a "mask" shape; None for other types.
    """

    kind: str
    points: np.ndarray
    png: bytes | None = None

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """(y1, x1, y2, x2), bounding box in pixels, not clipped to the photo."""
        if self.kind == "circle":
            (x, y), radius = self.points[0], _radius(self.points)
            return y - radius, x - radius, y + radius, x + radius
        (x1, y1), (x2, y2) = self.points.min(axis=0), self.points.max(axis=0)
        return y1, x1, y2, x2

    def points_outside(self, height: int, width: int) -> int:
        """Returns the number of points outside the photo. `draw` clips the shape to the photo."""
        x, y = self.points.T
        return int(np.sum((x < 0) | (y < 0) | (x > width) | (y > height)))

    def draw(self, height: int, width: int) -> np.ndarray:
        """Returns the mask, bool `[H, W]`: interior and outline, like labelme's `shape_to_mask`."""
        if self.kind == "mask":
            return _paste_png(self, height, width)
        if self.kind in ("polygon", "oriented_rectangle"):
            return fill([self.points], height, width)
        canvas = PIL.Image.new("L", (width, height))
        y1, x1, y2, x2 = self.extent
        pen = PIL.ImageDraw.Draw(canvas)
        if self.kind == "circle":
            pen.ellipse((x1, y1, x2, y2), outline=1, fill=1)
        else:
            pen.rectangle((x1, y1, x2, y2), outline=1, fill=1)
        return np.asarray(canvas).astype(bool)


def parse_shape(raw: Any, height: int, width: int) -> Shape:
    """Validates an entry of labelme's `shapes`.

    Args:
        raw: JSON value of any type.
        height, width: int, size of the upright photo in pixels.

    Returns:
        A valid `Shape`.

    Raises:
        ShapeError: if the shape is invalid.
    """
    if not isinstance(raw, dict):
        raise ShapeError(f"a shape must be an object with label and points, got {short(raw)}.")
    kind = raw.get("shape_type")
    kind = "polygon" if kind is None else kind  # labelme 3 did not write the type
    if not isinstance(kind, str) or kind not in (*POINT_COUNTS, *WITHOUT_AREA):
        raise ShapeError(f"unknown shape_type {short(kind)}; known: {', '.join(POINT_COUNTS)}.")
    if kind in WITHOUT_AREA:
        remedy = ", or give it the group_id of its object" if kind == "point" and "group_id" in raw else ""
        raise ShapeError(f"a {kind} has no area. Draw a polygon around the object{remedy}.", "shape-without-area")
    points = parse_points(raw.get("points"), kind)
    if kind == "mask":
        return _parse_mask(points, raw.get("mask"), height, width)
    shape = Shape(kind, points)
    length = 2 * math.pi * _radius(points) if kind == "circle" else outline_length(points)
    check_outline(length, height, width)
    if kind in ("polygon", "oriented_rectangle") and not has_area(points):
        raise ShapeError(f"the {kind} has no area because its points are collinear. Redraw or delete it.")
    return shape


def parse_points(raw: Any, kind: str = "polygon") -> np.ndarray:
    """Validates a list of [x, y] pairs and returns float64 `[P, 2]`. Raises ShapeError."""
    if not isinstance(raw, list):
        raise ShapeError(f"points must be a list of [x, y] pairs, got {short(raw)}.")
    minimum, maximum = (1, 1) if kind == "point" else POINT_COUNTS[kind]
    if len(raw) < minimum or (maximum and len(raw) > maximum):
        expected = f"{'exactly' if maximum else 'at least'} {plural(minimum, 'point')}"
        raise ShapeError(
            f"a {kind} requires {expected}, got {len(raw)}. Fix it in labelme or delete the shape.", "points-count"
        )
    if len(raw) > MAX_POINTS:
        raise ShapeError(f"has {len(raw):,} points, more than {MAX_POINTS:,}; simplify or redraw it.", "points-count")
    for i, point in enumerate(raw):
        if not isinstance(point, list) or len(point) != 2 or not all(type(v) in (int, float) for v in point):
            raise ShapeError(f"points[{i}] must be two numbers [x, y], got {short(point)}.")
        if not all(abs(v) <= MAX_COORDINATE for v in point):  # also rejects NaN
            raise ShapeError(f"points[{i}] is out of range: {short(point)}. Redraw or delete the shape.")
    return np.array(raw, dtype=np.float64)


def outline_length(points: np.ndarray) -> float:
    """Returns the length of a closed polygon `[P, 2]` in the L1 norm, an upper bound of its perimeter."""
    return float(np.abs(np.roll(points, -1, axis=0) - points).sum())


def check_outline(length: float, height: int, width: int) -> None:
    """Raises ShapeError if the length of an outline in pixels is above MAX_OUTLINE_LENGTH."""
    if length > MAX_OUTLINE_LENGTH:
        raise ShapeError(f"the outline is {length:.0f} pixels long on a {width}x{height} photo. Redraw the shape.")


def check_label(label: Any) -> str:
    """Returns a label unchanged. Raises ShapeError if it is not a string, is blank or is too long."""
    if not isinstance(label, str) or not label.strip() or len(label) > MAX_LABEL_LENGTH:
        message = f"the label must be a string of at most {MAX_LABEL_LENGTH} characters, got {short(label)}."
        raise ShapeError(message, "label-invalid")
    return label


def ellipse_points(x: float, y: float, rx: float, ry: float, degrees: float = 0.0) -> np.ndarray:
    """Returns an ellipse with centre (x, y) and semi-axes rx and ry, rotated clockwise, as float64 polygon `[P, 2]`."""
    angles = 2 * math.pi * np.arange(ELLIPSE_POINTS) / ELLIPSE_POINTS
    return rotate(np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], axis=1), degrees, np.array([x, y]))


def rotate(points: np.ndarray, degrees: float, center: np.ndarray) -> np.ndarray:
    """Returns points `[P, 2]` (x, y) rotated clockwise, as seen in the image, about a centre (x, y)."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return (points - center) @ np.array([[cos, sin], [-sin, cos]]) + center


def _radius(points: np.ndarray) -> float:
    (x1, y1), (x2, y2) = points
    return math.sqrt((x1 - x2) ** 2 + (y1 - y2) ** 2)


def _mask_box(points: np.ndarray) -> tuple[int, int, int, int]:
    """Returns the half-open box (y1, x1, y2, x2) of a mask shape, given its top-left and bottom-right pixels (x, y)."""
    (x1, y1), (x2, y2) = (int(x) for x in points[0]), (int(x) for x in points[1])
    return y1, x1, y2 + 1, x2 + 1


def _parse_mask(points: np.ndarray, encoded: Any, height: int, width: int) -> Shape:
    if not isinstance(encoded, str):
        raise ShapeError(f"a mask requires a base64-encoded PNG in 'mask', got {short(encoded)}.", "mask-png")
    y1, x1, y2, x2 = _mask_box(points)
    # The box of a labelme mask is inside the photo. The check bounds the size of the decompressed PNG.
    if not (0 < y2 - y1 <= height + 1 and 0 < x2 - x1 <= width + 1):
        message = f"the box of the mask ({x2 - x1}x{y2 - y1}) is not inside the {width}x{height} photo."
        raise ShapeError(message, "mask-png")
    try:
        png = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise ShapeError("'mask' is not valid base64. Delete the shape and draw it again.", "mask-png") from None
    shape = Shape("mask", points, png)
    try:
        size = _open_png(shape).size
        if size == (x2 - x1, y2 - y1):
            _decode_png(shape)
    except Exception as error:  # Pillow raises many types of exceptions on damaged files
        raise ShapeError(f"'mask' is not a readable PNG ({short(str(error))}).", "mask-png") from None
    if size != (x2 - x1, y2 - y1):
        raise ShapeError(
            f"the PNG has {size[0]}x{size[1]} pixels, but the points of the mask span {x2 - x1}x{y2 - y1}.", "mask-png"
        )
    return shape


def _open_png(shape: Shape) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(shape.png), formats=["PNG"])  # reads the header only


def _decode_png(shape: Shape) -> np.ndarray:
    pixels = np.asarray(_open_png(shape)).astype(bool)
    if pixels.ndim != 2:
        raise UserError(f"{pixels.shape[2]} channels instead of one")
    return pixels


def _paste_png(shape: Shape, height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), dtype=bool)
    y1, x1, y2, x2 = _mask_box(shape.points)
    inside = _decode_png(shape)[max(-y1, 0) : max(height - y1, 0), max(-x1, 0) : max(width - x1, 0)]
    top, left = max(y1, 0), max(x1, 0)
    mask[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return mask
