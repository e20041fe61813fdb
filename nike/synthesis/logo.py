"""Logos as outlines, with their colors if they are read from a raster image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mrcnn.data.image_files import open_image
from mrcnn.errors import UserError
from mrcnn.ops.contours import mask_to_rings, signed_area, simplify
from nike.synthesis.svg import read_svg

DEFAULT_LOGO = Path(__file__).resolve().parent.parent / "logo.svg"
MAX_SIDE = 4096
MIN_AREA = 4  # square pixels; smaller parts and holes of a raster image are dropped
MAX_STEP = 0.02  # maximum edge length of an outline in the unit frame, so that straight edges can be bent


@dataclass(frozen=True)
class Logo:
    """A shape in its unit frame: centred on the origin, with a longer side of 1 and y down.

    Attributes:
        outlines: closed polygons `[P, 2]` float64 (x, y), filled with the even-odd rule. No edge is longer than
            `MAX_STEP`.
        texture: `[h, w, 3]` uint8 RGB colors, or None for a shape that can be drawn in any color.
        scale: length of one unit in pixels of `texture`.
        centre: (x, y) position of the origin in pixels of `texture`.
        landmarks: (x, y) positions in the unit frame by name.
    """

    outlines: tuple[np.ndarray, ...]
    texture: np.ndarray | None = None
    scale: float = 1.0
    centre: tuple[float, float] = (0.0, 0.0)
    landmarks: Mapping[str, np.ndarray] = field(default_factory=dict)


def load_logo(path: str | Path = DEFAULT_LOGO) -> Logo:
    """Reads a logo from an SVG file or from a raster image with an alpha channel.

    The colors of a raster image are kept unless the shape has a single color.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file cannot be read, is too large, or contains no shape.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such logo file. Pass an .svg with paths or a .png with an alpha channel.")
    if path.suffix.lower() == ".svg":
        return make_logo(read_svg(path))
    try:
        with open_image(path) as image:
            if max(image.size) > MAX_SIDE:
                raise UserError(
                    f"{path}: a logo may have at most {MAX_SIDE} pixels per side, got {image.size}. Reduce its size."
                )
            pixels = np.asarray(image.convert("RGBA"))
    except (OSError, SyntaxError) as error:
        raise UserError(
            f"{path}: cannot be read as an image ({error}). Pass an .svg or a .png with an alpha channel."
        ) from None
    return _from_rgba(pixels, path)


def add_landmarks(swoosh: Logo) -> Logo:
    """Returns the bundled logo with its landmarks: the tips of hook and tail, and the lowest point of the belly."""
    points = np.concatenate(swoosh.outlines)
    left = points[points[:, 0] < 0]
    landmarks = {
        "hook": left[left[:, 1].argmin()],
        "belly": left[left[:, 1].argmax()],
        "tail": points[points[:, 0].argmax()],
    }
    return replace(swoosh, landmarks=landmarks)


def _from_rgba(pixels: np.ndarray, path: Path) -> Logo:
    solid = pixels[..., 3] > 127
    if solid.all() or not solid.any():
        raise UserError(
            f"{path}: the alpha channel is {'fully opaque' if solid.all() else 'fully transparent'}. "
            "Pass an image whose alpha channel contains the shape of the logo."
        )
    outlines = trace_outlines(solid)
    if not outlines:
        raise UserError(f"{path}: the opaque part is smaller than {MIN_AREA} square pixels. Pass a larger image.")
    colors = pixels[..., :3][solid]
    colored = colors.std(axis=0).max() > 8
    # Colors of transparent pixels are arbitrary, so they are replaced with the mean color of the shape.
    texture = np.where(solid[..., None], pixels[..., :3], colors.mean(axis=0).astype(np.uint8)) if colored else None
    return make_logo(outlines, texture)


def trace_outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Returns the outlines of a mask (bool `[H, W]`) and of its holes, float `[P, 2]` (x, y) in pixels.

    Parts and holes below MIN_AREA are dropped.
    """
    return [simplify(ring, 0.5) for ring in mask_to_rings(mask) if abs(signed_area(ring)) >= MIN_AREA]


def make_logo(outlines: Sequence[np.ndarray], texture: np.ndarray | None = None) -> Logo:
    """Creates a logo from outlines `[P, 2]` (x, y) in pixels of `texture`, or in arbitrary units if it is None."""
    points = np.concatenate(outlines)
    low, high = points.min(axis=0), points.max(axis=0)
    side, middle = float((high - low).max()), (low + high) / 2
    return Logo(tuple(_subdivide((o - middle) / side) for o in outlines), texture, side, tuple(middle.tolist()))


def _subdivide(outline: np.ndarray) -> np.ndarray:
    """Adds points to a closed polygon `[P, 2]` until no edge is longer than `MAX_STEP`."""
    closed = np.concatenate([outline, outline[:1]])
    counts = np.ceil(np.linalg.norm(np.diff(closed, axis=0), axis=1) / MAX_STEP).clip(1)
    steps = [np.arange(count) / count for count in counts]
    positions = np.concatenate([i + step for i, step in enumerate(steps)])
    return np.stack([np.interp(positions, np.arange(len(closed)), closed[:, axis]) for axis in (0, 1)], 1)
