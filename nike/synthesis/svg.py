"""Reading of outlines from the path elements of SVG files."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mrcnn.errors import UserError

MAX_BYTES = 1 << 20
MAX_POINTS = 200_000
CURVE_STEPS = 16  # points per curve segment, an error of about 0.1 pixels for a logo of 900 pixels

_SEPARATOR = re.compile(r"[\s,]*")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_FLAG = re.compile(r"[01]")
# Arguments of each command: n is a number, f an arc flag. Flags need no separator, as in `a6 6 0 00-1 2`.
_ARGUMENTS = {
    "M": "nn",
    "L": "nn",
    "H": "n",
    "V": "n",
    "C": "n" * 6,
    "S": "n" * 4,
    "Q": "n" * 4,
    "T": "nn",
    "A": "nnnffnn",
}


def read_svg(path: str | Path) -> list[np.ndarray]:
    """Reads all `<path d>` elements of a file as closed outlines.

    Transforms, styles, strokes, visibility and other elements are ignored. Convert them to one plain path first (in
    Inkscape, Path > Union). Files with a document type declaration are rejected, so entities are never expanded.

    Returns:
        Outlines `[P, 2]` float64, (x, y) in SVG user units with y down.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is too large, is not XML, has a document type declaration, or has no valid path.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such logo file. Give an .svg with one path or a .png with alpha.")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(
            f"{path}: a logo may have at most {MAX_BYTES >> 20} MiB, got {path.stat().st_size} bytes. Simplify it."
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: an SVG must be UTF-8 text. Save it as plain SVG.") from None
    if re.search(r"<!\s*(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise UserError(
            f"{path}: document types and entities are not supported. Save it as plain SVG without <!DOCTYPE>."
        )
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, ValueError) as error:
        raise UserError(f"{path}: not well-formed XML ({error}). Save it as plain SVG.") from None
    outlines: list[np.ndarray] = []
    for number, element in enumerate(e for e in root.iter() if str(e.tag).rsplit("}", 1)[-1] == "path"):
        try:
            outlines += flatten_path(element.get("d") or "")
        except ValueError as error:
            raise UserError(f"{path}, path[{number}]: {error}") from None
    if not outlines:
        raise UserError(f"{path}: no <path d=...> that encloses an area. Convert shapes and text to one path first.")
    return outlines


def flatten_path(d: str) -> list[np.ndarray]:
    """Converts SVG path data to polygons. Each curve becomes `CURVE_STEPS` line segments.

    Args:
        d: All commands of SVG 1.1, absolute and relative.

    Returns:
        One `[P, 2]` float64 polygon per subpath with at least 3 points; the last point does not repeat the first.

    Raises:
        ValueError: If the text is not valid path data. The message contains the position.

    Source: SVG 1.1, chapter 8 and appendix F.6 (arcs).
    """
    polygons: list[list[complex]] = [[]]
    point = start = 0j
    handle = None  # last control point, which S and T mirror
    total = 0
    for command, values in _commands(d):
        kind, relative = command.upper(), command.islower()
        base = point if relative else 0j
        if kind == "Z":
            polygons.append([])
            point, handle = start, None
            continue
        if kind == "M":
            point = start = base + complex(*values)
            polygons.append([point])
            handle = None
            continue
        if not polygons[-1]:
            polygons[-1].append(point)
        new, handle = _segment(kind, values, point, base, handle)
        polygons[-1] += new
        point = new[-1]
        total += len(new)
        if total > MAX_POINTS:
            raise UserError(f"path data has more than {MAX_POINTS} points. Simplify the logo.")
    arrays = [np.array([[p.real, p.imag] for p in polygon]) for polygon in polygons if len(polygon) >= 3]
    if any(not np.all(np.isfinite(a)) or np.abs(a).max() > 1e6 for a in arrays):
        raise UserError("path data has coordinates beyond 1e6. Scale the logo to a sensible size.")
    return [a[:-1] if len(a) > 3 and np.allclose(a[0], a[-1]) else a for a in arrays]


def _commands(d: str) -> Iterator[tuple[str, list[float]]]:
    """Yields (command, values), with the command repeated for each further group of values."""
    position = _SEPARATOR.match(d, 0).end()
    while position < len(d):
        command = d[position]
        kind = command.upper()
        if kind != "Z" and kind not in _ARGUMENTS:
            raise UserError(
                f"path data has {command!r} at character {position}, expected a command such as M, L, C, A or Z."
            )
        position = _SEPARATOR.match(d, position + 1).end()
        if kind == "Z":
            yield command, []
            continue
        while True:
            values = []
            for expected in _ARGUMENTS[kind]:
                match = (_NUMBER if expected == "n" else _FLAG).match(d, position)
                if not match:
                    raise UserError(
                        f"path data is invalid at character {position}: {command!r} needs "
                        f"{len(_ARGUMENTS[kind])} values, got {len(values)}."
                    )
                values.append(float(match.group()))
                position = _SEPARATOR.match(d, match.end()).end()
            yield command, values
            command = {"M": "L", "m": "l"}.get(command, command)  # further pairs after a move are line segments
            if not _NUMBER.match(d, position):
                break


def _segment(kind: str, v: list[float], point: complex, base: complex, handle) -> tuple[list[complex], object]:
    """Returns the points of a drawing command after `point`, and the control point that a following S or T mirrors."""
    if kind == "H":
        return [complex(base.real + v[0], point.imag)], None
    if kind == "V":
        return [complex(point.real, base.imag + v[0])], None
    if kind == "L":
        return [base + complex(*v)], None
    if kind == "A":
        return _arc(point, base + complex(v[5], v[6]), v), None
    pairs = [base + complex(v[i], v[i + 1]) for i in range(0, len(v), 2)]
    if kind in "ST":
        family = "C" if kind == "S" else "Q"
        mirrored = 2 * point - handle[1] if handle and handle[0] == family else point
        pairs = [mirrored, *pairs]
    t = np.arange(1, CURVE_STEPS + 1) / CURVE_STEPS
    if kind in "CS":
        a, b, end = pairs
        curve = (1 - t) ** 3 * point + 3 * (1 - t) ** 2 * t * a + 3 * (1 - t) * t**2 * b + t**3 * end
        return list(curve), ("C", b)
    a, end = pairs
    return list((1 - t) ** 2 * point + 2 * (1 - t) * t * a + t**2 * end), ("Q", a)


def _arc(start: complex, end: complex, v: list[float]) -> list[complex]:
    """Returns the points of an elliptical arc from its end points (SVG 1.1, F.6.5 and F.6.6)."""
    rx, ry, large, sweep = abs(v[0]), abs(v[1]), v[3] > 0, v[4] > 0
    if rx == 0 or ry == 0 or start == end:
        return [end]
    rotation = complex(math.cos(math.radians(v[2])), math.sin(math.radians(v[2])))
    half = (start - end) / 2 / rotation
    grow = math.hypot(half.real / rx, half.imag / ry)
    if grow > 1:  # radii too small for the end points are scaled up
        rx, ry = rx * grow, ry * grow
    unit = complex(half.real / rx, half.imag / ry)  # half of the chord on the unit circle
    distance = math.sqrt(max(0.0, 1 / abs(unit) ** 2 - 1)) if abs(unit) else 0.0
    centre = unit * complex(0, distance if large == sweep else -distance)
    a = math.atan2((unit - centre).imag, (unit - centre).real)
    b = math.atan2((-unit - centre).imag, (-unit - centre).real)
    delta = (b - a) % (2 * math.pi)
    if not sweep:
        delta -= 2 * math.pi
    angles = a + delta * np.arange(1, CURVE_STEPS + 1) / CURVE_STEPS
    circle = centre + np.exp(1j * angles)
    points = (start + end) / 2 + rotation * (circle.real * rx + 1j * circle.imag * ry)
    return [*points[:-1], end]
