"""Composition of a labelled image from a background, logos, distractors, occlusion and camera effects."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from nike.augmentation import photometric
from nike.augmentation.distractors import sample_shape
from nike.synthesis.backgrounds import Source, find_backgrounds
from nike.synthesis.logo import Logo, load_logo, make_logo
from nike.synthesis.masks import Instance, PlacedLogo, rasterize, rasterize_logo
from nike.synthesis.occlusion import occlude
from nike.synthesis.paint import MARGIN, STYLES, choose_style, paint
from nike.synthesis.placement import sample_placement, warp_texture

SIZES = (0.08, 0.7)  # range of the length of a logo, as a fraction of the longer side of the image
OCCLUSION_FRACTION = 0.2  # fraction of images with an object in front of a logo
ATTEMPTS = 12  # maximum number of positions per logo, and of logos that are added until one is clearly visible
MAX_SIMILARITY = 0.6  # IoU with the logo above which a distractor is not used


@dataclass(frozen=True)
class Assets:
    """Inputs of the renderer.

    Attributes:
        logo: logo to draw.
        label: label of its instances.
        cutouts: logos cut out of photos, which are drawn instead of `logo` half of the time.
        background: function that samples a background.
    """

    logo: Logo = field(default_factory=load_logo)
    label: str = "nike"
    cutouts: tuple[Logo, ...] = ()
    background: Source = field(default_factory=lambda: find_backgrounds(None))

    def sample_logo(self, rng: np.random.Generator) -> Logo:
        """Returns the logo or a random cutout."""
        if self.cutouts and rng.random() < 0.5:
            return self.cutouts[rng.integers(len(self.cutouts))]
        return self.logo

    def sample_distractor(self, rng: np.random.Generator) -> Logo:
        """Returns a shape that does not resemble the logo."""
        while True:
            shape = make_logo(sample_shape(rng))
            if similarity(shape, self.logo) <= MAX_SIMILARITY:
                return shape


def similarity(a: Logo, b: Logo) -> float:
    """Returns the maximum IoU of two logos in their unit frames over all mirror images."""
    a, b = (rasterize([64 * (o + 0.5) for o in logo.outlines], (64, 64)) for logo in (a, b))
    views = (a, a[:, ::-1], a[::-1], a[::-1, ::-1])
    return max(float(np.minimum(view, b).sum() / np.maximum(view, b).sum()) for view in views)


@dataclass
class Scene:
    """An image to which logos are added.

    Attributes:
        image: `[H, W, 3]` float32 RGB in 0..1.
        light: (x, y) unit vector towards the light.
        logos: logos in the image.
        distractors: other shapes in the image.
    """

    image: np.ndarray
    light: tuple[float, float]
    logos: list[PlacedLogo] = field(default_factory=list)
    distractors: list[PlacedLogo] = field(default_factory=list)


def render_image(
    rng: np.random.Generator, height: int, width: int, assets: Assets, negative: bool = False
) -> tuple[np.ndarray, list[Instance]]:
    """Renders one synthetic image.

    Args:
        rng: random generator. Its state determines the image.
        height: image height in pixels.
        width: image width in pixels.
        assets: logo, cutouts and backgrounds.
        negative: whether to draw distractors but no logo.

    Returns:
        The `[height, width, 3]` uint8 RGB image, and its instances (an empty list if `negative`).
    """
    angle = rng.normal(-np.pi / 2, 0.7)  # the light mostly comes from above
    background = assets.background(rng, height, width).astype(np.float32) / np.float32(255)
    scene = Scene(background, (float(np.cos(angle)), float(np.sin(angle))))
    for _ in range(rng.integers(1, 5) if negative else rng.choice([0, 0, 1, 2])):
        add_logo(rng, scene, assets.sample_distractor(rng), scene.distractors)
    for _ in range(0 if negative else rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2])):
        add_logo(rng, scene, assets.sample_logo(rng), scene.logos)
    if rng.random() < OCCLUSION_FRACTION:
        occlude(rng, scene.image, scene.logos, scene.logos or scene.distractors)
    for _ in range(0 if negative else ATTEMPTS):
        if any(logo.is_clear() for logo in scene.logos):
            break
        add_logo(rng, scene, assets.sample_logo(rng), scene.logos)
    instances = [logo.instance((height, width), assets.label) for logo in scene.logos]
    return apply_camera_effects(rng, scene.image), [instance for instance in instances if instance is not None]


def add_logo(rng: np.random.Generator, scene: Scene, logo: Logo, placed: list[PlacedLogo]) -> None:
    """Draws a logo or a distractor at a random free position, if one is found, and appends it to `placed`."""
    shape = scene.image.shape[:2]
    for _ in range(ATTEMPTS):
        placement = sample_placement(rng, shape, [size * max(shape) for size in SIZES])
        outlines = [placement.to_image(outline) for outline in logo.outlines]
        new = rasterize_logo(outlines, shape, MARGIN)
        if new is not None and not any(new.overlaps(old) for old in scene.logos + scene.distractors):
            break
    else:
        return
    y0, x0, y1, x1 = new.window
    surface, coverage = scene.image[y0:y1, x0:x1], new.coverage
    length = float(np.ptp(np.concatenate(outlines), axis=0).max())
    style, colors = choose_style(rng), None
    if logo.texture is not None and rng.random() < 0.7:  # otherwise, its shape is drawn in another color
        style, colors = STYLES["print"], warp_texture(logo, placement, new.window)
    painted = paint(rng, surface, coverage, style, length, scene.light, colors)
    new.contrast = 255 * float(np.average(np.abs(painted - surface).mean(axis=2), weights=coverage))
    surface[:] = painted
    new.landmarks = {name: placement.to_image([point])[0] for name, point in logo.landmarks.items()}
    placed.append(new)


def apply_camera_effects(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Applies camera effects that do not change the geometry, and returns `[H, W, 3]` uint8."""
    image = np.rint(image * 255).astype(np.uint8)
    if rng.random() < 0.3:
        image = photometric.shade(image, rng)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.2))
    if rng.random() < 0.3:
        image = photometric.add_noise(image, rng)
    if rng.random() < 0.3:
        image = photometric.compress(image, rng)
    return image
