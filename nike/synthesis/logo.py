"""A mark: the outline that is drawn, and colours if it came from a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mrcnn.data.reading import open_image
from nike.synthesis import geometry
from nike.synthesis.svg import read_svg

DEFAULT_LOGO = Path(__file__).resolve().parent.parent / "logo.svg"
MAX_SIDE = 4096


@dataclass(frozen=True)
class Mark:
    """A shape in its own frame: centred on the origin, its longer side 1, (x, y) with y down.

    Attributes:
        outlines: Closed polygons `[P, 2]` float32; where two overlap there is a hole (even-odd).
        texture: uint8 `[h, w, 3]` RGB colours of the shape, or None where any colour will do.
        to_texture: `[3, 3]` float64 from the mark's frame to pixels of `texture` (continuous), or None.
    """

    outlines: tuple[np.ndarray, ...]
    texture: np.ndarray | None = None
    to_texture: np.ndarray | None = None


def bounds(outlines) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest (x, y) of a sequence of polygons."""
    points = np.concatenate(outlines)
    return points.min(axis=0), points.max(axis=0)


def centre(outlines, texture: np.ndarray | None = None) -> Mark:
    """Brings outlines (in pixels of `texture`, if there is one) into a mark's own frame.

    Raises:
        ValueError: the outlines enclose nothing.
    """
    low, high = bounds(outlines)
    side, middle = float((high - low).max()), (low + high) / 2
    if (high - low).min() <= 0:
        raise ValueError("the logo's outline has no area. Give a closed shape.")
    to_texture = None
    if texture is not None:
        to_texture = np.array([[side, 0, middle[0]], [0, side, middle[1]], [0, 0, 1.0]])
    return Mark(tuple(((o - middle) / side).astype(np.float32) for o in outlines), texture, to_texture)


def load_mark(path: str | Path = DEFAULT_LOGO) -> Mark:
    """Reads a logo: the path of an SVG, or a picture with alpha (its colours are kept unless it is one colour).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is neither, is too large, or shows nothing.
    """
    path = Path(path)
    if path.suffix.lower() == ".svg":
        outlines = read_svg(path)
        try:
            return centre(outlines)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such logo file. Give an .svg with one path or a .png with alpha.")
    try:
        with open_image(path) as picture:
            if max(picture.size) > MAX_SIDE:
                raise ValueError(
                    f"{path}: a logo may have at most {MAX_SIDE} px a side, got {picture.size}. Scale it down."
                )
            pixels = np.asarray(picture.convert("RGBA"))
    except (OSError, SyntaxError) as error:
        raise ValueError(
            f"{path}: not a picture that can be read ({error}). Give an .svg or a .png with alpha."
        ) from None
    return _from_rgba(pixels, path)


def _from_rgba(pixels: np.ndarray, path: Path) -> Mark:
    solid = pixels[..., 3] > 127
    if solid.all() or not solid.any():
        raise ValueError(
            f"{path}: the logo is {'nowhere' if not solid.any() else 'everywhere'} opaque. "
            "Give a picture whose alpha channel shows the logo's shape."
        )
    rings = [ring for ring in geometry.rings_of(solid) if abs(geometry.signed_area(ring)) >= 4]
    outlines = [cv2.approxPolyDP(ring[:-1].astype(np.float32), 0.5, True)[:, 0] for ring in rings]
    if not outlines:
        raise ValueError(f"{path}: the logo's opaque part is smaller than 4 pixels. Give a larger picture.")
    colours = pixels[..., :3][solid]
    coloured = colours.std(axis=0).max() > 8
    # Alpha is cut off below 128: colours there may be anything, so they are filled in from the shape's own.
    texture = np.where(solid[..., None], pixels[..., :3], colours.mean(axis=0).astype(np.uint8)) if coloured else None
    return centre(outlines, texture)
