import cv2
import numpy as np
import pytest
from skimage.draw import polygon2mask

from nike.synthesis import geometry, placement
from nike.synthesis.canvas import Canvas
from nike.synthesis.labelling import contrast, label_logos, visible_fraction
from nike.synthesis.logo import Logo, load_logo, normalize_outlines
from nike.synthesis.materials import Material
from nike.synthesis.styles import KINDS, TINY, TINY_KINDS, Paint, Style, choose_style, sample_paint

LOGO = load_logo()
BLACK = Material(np.zeros(3, np.float32))


def white(height=200, width=300, seed=0):
    return Canvas(np.ones((height, width, 3), np.float32), np.random.default_rng(seed))


@pytest.fixture
def plain_print(monkeypatch):
    """Draws all logos in flat black, so that the colour of a white canvas is 1 minus the coverage."""
    monkeypatch.setattr(placement, "choose_style", lambda *_: Style("print"))
    monkeypatch.setattr(placement, "sample_paint", lambda *_: Paint(np.zeros((1, 1, 3), np.float32)))


def coverage_of(polygons, shape, scale=4):
    """Returns the coverage per pixel from point-in-polygon tests of scikit-image, `[H, W]` float64."""
    mask = np.zeros((shape[0] * scale, shape[1] * scale), bool)
    for polygon in polygons:
        mask |= polygon2mask(mask.shape, polygon[:, ::-1].astype(float) * scale - 0.5)
    return mask.reshape(shape[0], scale, shape[1], scale).mean(axis=(1, 3))


def soft_iou(a, b):
    return np.minimum(a, b).sum() / np.maximum(a, b).sum()


@pytest.mark.parametrize("size", [12, 30, 90, 250])
@pytest.mark.parametrize("angle", [0.0, 2.0])
def test_polygons_match_the_painted_region(plain_print, size, angle):
    side = int(1.5 * size)
    canvas = white(side, side)
    matrix = geometry.pose((side / 2 + 0.3, side / 2), size, angle, mirror=size == 90, shear=0.1, tilt=(0.2, -0.1))
    placement.draw_logo(canvas, LOGO, matrix, curve=0.5)
    (instance,) = label_logos(np.full((side, side, 3), 255, np.uint8), canvas.placed, "nike")
    painted = 1 - canvas.colour[..., 0]
    assert soft_iou(coverage_of(instance.polygons, canvas.shape, 16 if size < 100 else 6), painted) >= 0.98


@pytest.mark.parametrize("size", [40, 200])
def test_paint_matches_the_outline_of_the_logo(plain_print, size, monkeypatch):
    monkeypatch.setattr(geometry, "bend", lambda outlines, *_: list(outlines))
    canvas = white()
    matrix = geometry.pose((150, 100), size, 0.4)
    placement.draw_logo(canvas, LOGO, matrix)
    c, s = np.cos(0.4) * size, np.sin(0.4) * size
    expected = LOGO.outlines[0] @ np.array([[c, s], [-s, c]]) + (150, 100)
    assert soft_iou(coverage_of([expected], canvas.shape, 8), 1 - canvas.colour[..., 0]) >= 0.98


def test_occlusion_splits_the_polygon(plain_print):
    canvas = white()
    placement.draw_logo(canvas, LOGO, geometry.pose((150, 100), 200))
    strap = Material(np.float32([1, 0, 0]))
    canvas.fill(np.array([(140, 0), (155, 0), (155, 200), (140, 200.0)]), strap)
    (instance,) = label_logos(np.zeros((200, 300, 3), np.uint8), canvas.placed, "nike")
    assert len(instance.polygons) == 2
    visible = 1 - canvas.colour[..., 0]  # 0 on the red strap and on the white background
    assert soft_iou(coverage_of(instance.polygons, canvas.shape), visible) >= 0.98


def test_logo_is_clipped_to_the_image_and_the_surface(plain_print):
    canvas = white()
    clip = np.zeros(canvas.shape, np.float32)
    clip[:, 60:] = 1
    placement.draw_logo(canvas, LOGO, geometry.pose((70, 190), 200), clip=clip)
    (instance,) = label_logos(np.zeros((200, 300, 3), np.uint8), canvas.placed, "nike")
    points = np.concatenate(instance.polygons)
    assert points[:, 0].min() == pytest.approx(60, abs=0.5) and points[:, 1].max() == 200
    assert soft_iou(coverage_of(instance.polygons, canvas.shape), 1 - canvas.colour[..., 0]) >= 0.98


def test_translucent_layers_keep_the_label(plain_print):
    canvas = white()
    placed = placement.draw_logo(canvas, LOGO, geometry.pose((150, 100), 200))
    before = visible_fraction(placed)
    canvas.fill(np.array([(0, 0), (300, 0), (300, 200), (0, 200.0)]), BLACK, opacity=0.4)
    assert visible_fraction(placed) == before == pytest.approx(1, abs=0.02)
    canvas.fill(np.array([(0, 0), (300, 0), (300, 200), (0, 200.0)]), BLACK, opacity=0.6)
    assert visible_fraction(placed) == 0


def test_distractors_occlude_logos_and_are_not_labelled(plain_print):
    canvas = white()
    first = placement.draw_logo(canvas, LOGO, geometry.pose((150, 100), 200))
    square = normalize_outlines([np.array([(0, 0), (1, 0), (1, 1), (0, 1.0)])])
    assert placement.draw_logo(canvas, square, geometry.pose((100, 100), 120), label=False) is None
    assert visible_fraction(first) < 0.7 and canvas.placed == [first]


@pytest.mark.parametrize(
    "matrix", [geometry.pose((150, 100), 3), geometry.pose((-500, 100), 50), geometry.pose((0, 0), 1e9)]
)
def test_invisible_logos_are_not_drawn(matrix):
    canvas = white()
    assert placement.draw_logo(canvas, LOGO, matrix) is None
    assert (canvas.colour == 1).all() and not canvas.placed


def test_outline_and_bordered_logos_are_labelled_as_filled_shapes(monkeypatch):
    areas = {}
    for style in (Style("print"), Style("outline", line_width=3.0), Style("bordered", border=4.0)):
        monkeypatch.setattr(placement, "choose_style", lambda *_, style=style: style)
        canvas = white()
        placed = placement.draw_logo(canvas, LOGO, geometry.pose((150, 100), 200))
        areas[style.kind] = np.count_nonzero(placed.visible) / placed.scale**2
        if style.kind == "outline":  # the middle of the hook is not painted
            assert (canvas.colour[110, 75] == 1).all()
    assert areas["outline"] == pytest.approx(areas["print"], rel=0.1)
    assert areas["bordered"] > areas["print"] * 1.2


def test_textured_logo_keeps_its_colours():
    texture = np.zeros((40, 40, 3), np.uint8)
    texture[:, :20], texture[:, 20:] = (255, 0, 0), (0, 0, 255)
    square = np.array([(5, 5), (35, 5), (35, 35), (5, 35.0)])
    logo = normalize_outlines([square], texture)
    colours = set()
    for seed in range(8):
        canvas = white(100, 100, seed)
        placement.draw_logo(canvas, logo, geometry.pose((50, 50), 60))
        colours.add(tuple(np.round(canvas.colour[50, [30, 70]].ravel()).tolist()))
    assert (1, 0, 0, 0, 0, 1) in colours  # left red, right blue


@pytest.mark.parametrize("kind", KINDS)
def test_styles_draw_finite_visible_colours(kind, monkeypatch):
    for seed in range(6):
        monkeypatch.setattr(
            placement, "choose_style", lambda rng, size, thick: Style(kind, border=2.0 * (kind == "bordered"), lift=1)
        )
        canvas = white(seed=seed)
        canvas.colour[:] = 0.5
        placement.draw_logo(canvas, LOGO, geometry.pose((150, 100), 150))
        assert np.isfinite(canvas.colour).all() and np.isfinite(canvas.height).all()
        lit = canvas.shade((-0.5, -0.7), 0.5)
        assert np.abs(lit - 0.5).max() > 0.02


def test_tiny_logos_have_suitable_styles():
    rng = np.random.default_rng(0)
    assert {choose_style(rng, TINY - 1, 5).kind for _ in range(300)} == set(TINY_KINDS)
    assert {choose_style(rng, TINY, 5).kind for _ in range(300)} == set(KINDS)


def test_tone_is_similar_to_the_background_and_print_is_not():
    background = np.float32([0.5, 0.4, 0.3])
    for seed in range(20):
        tone = sample_paint(np.random.default_rng(seed), "tone", background, (4, 4), 30).colour
        assert np.abs(tone - background).max() < 0.3
    far = [
        np.abs(sample_paint(np.random.default_rng(s), "print", background, (4, 4), 30).colour - background).mean()
        for s in range(20)
    ]
    assert min(far) > 0.1


def test_contrast_separates_visible_and_invisible_outlines():
    y, x = np.mgrid[:100, :100]
    square = np.array([(20, 20), (80, 20), (80, 80), (20, 80.0)], np.float32)
    inside = (x >= 20) & (x < 80) & (y >= 20) & (y < 80)
    noise = np.random.default_rng(0).normal(0, 6, (100, 100))

    def to_image(values):
        return np.clip(np.repeat((120 + values)[..., None], 3, 2), 0, 255).astype(np.uint8)

    assert contrast(to_image(np.zeros((100, 100))), square) == 0
    assert contrast(to_image(40 * inside), square) > 30
    embossed = cv2.Laplacian(inside.astype(np.float32), cv2.CV_32F) * 20
    assert contrast(to_image(embossed), square) > 5
    assert contrast(to_image(noise + 40 * inside), square) > 3 * contrast(to_image(noise), square)


@pytest.mark.parametrize(
    ("matrix", "label"),
    [
        (geometry.pose((150, 100), 60), "swoosh"),
        (geometry.pose((150, 100), 9), "ignore"),  # tiny
        (geometry.pose((150, 100), (60, 5)), "ignore"),  # thin
        (geometry.pose((-20, 100), 60), "ignore"),  # mostly outside the image
    ],
)
def test_unclear_logos_are_labelled_ignore(plain_print, matrix, label):
    canvas = white()
    placement.draw_logo(canvas, LOGO, matrix)
    image = (canvas.colour * 255).astype(np.uint8)
    (instance,) = label_logos(image, canvas.placed, "swoosh")
    assert instance.label == label


def test_logo_without_contrast_is_labelled_ignore(plain_print):
    canvas = white()
    placement.draw_logo(canvas, LOGO, geometry.pose((150, 100), 60))
    (instance,) = label_logos(np.full((200, 300, 3), 90, np.uint8), canvas.placed, "swoosh")
    assert instance.label == "ignore"


def test_holes_are_not_painted(plain_print):
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1.0)]) - 0.5
    canvas = white()
    placement.draw_logo(canvas, Logo((square, square * 0.5)), geometry.pose((150, 100), 100))
    assert (canvas.colour[100, 150] == 1).all() and (canvas.colour[60, 150] == 0).all()
