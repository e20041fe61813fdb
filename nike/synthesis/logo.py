"""The logo to draw: its outlines, and its colours if it was read from a raster image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mrcnn.data.reading import open_image
from mrcnn.errors import UserError
from nike.synthesis import geometry
from nike.synthesis.svg import read_svg

DEFAULT_LOGO = Path(__file__).resolve().parent.parent / "logo.svg"
MAX_SIDE = 4096


@dataclass(frozen=True)
class Logo:
    """A shape in its unit frame: centred on the origin, with a longer side of 1 and y down.

    Attributes:
        outlines: Closed polygons `[P, 2]` float32 (x, y), filled with the even-odd rule.
        texture: `[h, w, 3]` uint8 RGB colours, or None for a shape that can be drawn in any colour.
        to_texture: `[3, 3]` float64 homography from the unit frame to continuous pixels of `texture`, or None.
    """

    outlines: tuple[np.ndarray, ...]
    texture: np.ndarray | None = None
    to_texture: np.ndarray | None = None


def bounds(outlines) -> tuple[np.ndarray, np.ndarray]:
    """Returns the smallest and the largest (x, y) of a sequence of polygons."""
    points = np.concatenate(outlines)
    return points.min(axis=0), points.max(axis=0)


def normalize_outlines(outlines, texture: np.ndarray | None = None) -> Logo:
    """Creates a logo from outlines, which are in pixels of `texture` if it is given.

    Raises:
        ValueError: If the outlines have no area.
    """
    low, high = bounds(outlines)
    side, middle = float((high - low).max()), (low + high) / 2
    if (high - low).min() <= 0:
        raise UserError("the outline of the logo has no area. Give a closed shape.")
    to_texture = None
    if texture is not None:
        to_texture = np.array([[side, 0, middle[0]], [0, side, middle[1]], [0, 0, 1.0]])
    return Logo(tuple(((o - middle) / side).astype(np.float32) for o in outlines), texture, to_texture)


def load_logo(path: str | Path = DEFAULT_LOGO) -> Logo:
    """Reads a logo from an SVG file or from a raster image with an alpha channel.

    The colours of a raster image are kept if there is more than one.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file cannot be read, is too large, or contains no shape.
    """
    path = Path(path)
    if path.suffix.lower() == ".svg":
        outlines = read_svg(path)
        try:
            return normalize_outlines(outlines)
        except ValueError as error:
            raise UserError(f"{path}: {error}") from None
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such logo file. Give an .svg with one path or a .png with alpha.")
    try:
        with open_image(path) as image:
            if max(image.size) > MAX_SIDE:
                raise UserError(
                    f"{path}: a logo may have at most {MAX_SIDE} pixels per side, got {image.size}. Reduce its size."
                )
            pixels = np.asarray(image.convert("RGBA"))
    except (OSError, SyntaxError) as error:
        raise UserError(f"{path}: cannot be read as an image ({error}). Give an .svg or a .png with alpha.") from None
    return _from_rgba(pixels, path)


def _from_rgba(pixels: np.ndarray, path: Path) -> Logo:
    solid = pixels[..., 3] > 127
    if solid.all() or not solid.any():
        raise UserError(
            f"{path}: the alpha channel is {'fully opaque' if solid.all() else 'fully transparent'}. "
            "Give an image whose alpha channel contains the shape of the logo."
        )
    rings = [ring for ring in geometry.find_rings(solid) if abs(geometry.signed_area(ring)) >= 4]
    outlines = [cv2.approxPolyDP(ring[:-1].astype(np.float32), 0.5, True)[:, 0] for ring in rings]
    if not outlines:
        raise UserError(f"{path}: the opaque part is smaller than 4 square pixels. Give a larger image.")
    colours = pixels[..., :3][solid]
    coloured = colours.std(axis=0).max() > 8
    # Colours of transparent pixels are arbitrary, so they are replaced by the mean colour of the shape.
    texture = np.where(solid[..., None], pixels[..., :3], colours.mean(axis=0).astype(np.uint8)) if coloured else None
    return normalize_outlines(outlines, texture)
