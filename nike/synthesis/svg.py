"""Reads outlines from the path elements of SVG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fontTools.pens.basePen import BasePen
from fontTools.svgLib import parse_path

from mrcnn.errors import UserError
from mrcnn.ops.polygons import has_area
from nike.datasets.safe_xml import read_xml

MAX_BYTES = 1 << 20
MAX_COORDINATE = 1e6
CURVE_STEPS = 16  # points per curve segment; the error is about 0.1 pixels for a logo of 900 pixels


class _Flattener(BasePen):
    """A fontTools pen that collects each subpath as a polygon.

    fontTools converts arcs and quadratic curves to cubic curves.
    """

    def __init__(self):
        super().__init__()
        self.polygons: list[list[np.ndarray]] = []

    def _moveTo(self, point):
        self.polygons.append([np.array(point)])

    def _lineTo(self, point):
        self.polygons[-1].append(np.array(point))

    def _curveToOne(self, first, second, end):
        t = (np.arange(1, CURVE_STEPS + 1) / CURVE_STEPS)[:, None]
        points = (self.polygons[-1][-1], *map(np.array, (first, second, end)))
        weights = ((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3)
        self.polygons[-1] += list(sum(weight * point for weight, point in zip(weights, points, strict=True)))


def read_svg(path: str | Path) -> list[np.ndarray]:
    """Reads all `<path d>` elements of a file as closed outlines.

    Transforms, styles, strokes, visibility and other elements are ignored. Convert the drawing to a single plain path
    first (in Inkscape, Path > Union). Files with a document type declaration are rejected, so entities are never
    expanded.

    Returns:
        Outlines `[P, 2]` float64, (x, y) in SVG user units with y down.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is too large, is not XML, has a document type declaration, or has no valid path.
    """
    path, outlines = Path(path), []
    root = read_xml(path, MAX_BYTES)
    for number, element in enumerate(e for e in root.iter() if str(e.tag).rpartition(":")[2] == "path"):
        try:
            outlines += flatten_path(element.get("d") or "")
        except ValueError as error:
            raise UserError(f"{path}, path[{number}]: {error} Save the logo as plain SVG.") from None
    if not outlines:
        raise UserError(f"{path}: no <path d=...> that encloses an area. Convert shapes and text to one path first.")
    return outlines


def flatten_path(d: str) -> list[np.ndarray]:
    """Converts SVG path data to polygons. Each curve becomes `CURVE_STEPS` line segments.

    Returns:
        One `[P, 2]` float64 polygon per subpath that encloses an area. The last point does not repeat the first.

    Raises:
        ValueError: if the text is not valid path data.
    """
    pen = _Flattener()
    try:
        parse_path(" ".join(d.split()), pen)
    except (ValueError, IndexError, OverflowError) as error:
        raise UserError(f"invalid path data ({str(error)[:100]}).") from None
    polygons = [np.array(points) for points in pen.polygons]
    if any(not np.all(np.abs(polygon) <= MAX_COORDINATE) for polygon in polygons):
        raise UserError(f"path data has coordinates beyond {MAX_COORDINATE:g}.")
    polygons = [polygon[:-1] if np.allclose(polygon[0], polygon[-1]) else polygon for polygon in polygons]
    return [polygon for polygon in polygons if len(polygon) >= 3 and has_area(polygon)]
