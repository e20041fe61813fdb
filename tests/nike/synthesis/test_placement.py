"""Painted marks against their labels: what is labelled is exactly what can be seen."""

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
    """Marks are printed in flat black: the colour of the canvas is 1 minus their cover."""
    monkeypatch.setattr(placement, "choose_style", lambda *_: Style("print"))
    monkeypatch.setattr(placement, "sample_paint", lambda *_: Paint(np.zeros((1, 1, 3), np.float32)))


def cover_of(polygons, shape, scale=4):
    """Cover per pixel by point-in-polygon tests of scikit-image, float [H, W]."""
    fine = np.zeros((shape[0] * scale, shape[1] * scale), bool)
    for polygon in polygons:
        fine |= polygon2mask(fine.shape, polygon[:, ::-1].astype(float) * scale - 0.5)
    return fine.reshape(shape[0], scale, shape[1], scale).mean(axis=(1, 3))


def soft_iou(a, b):
    return np.minimum(a, b).sum() / np.maximum(a, b).sum()


@pytest.mark.parametrize("size", [12, 30, 90, 250])
@pytest.mark.parametrize("turn", [0.0, 2.0])
def test_polygons_enclose_exactly_what_is_painted(plain_print, size, turn):
    side = int(1.5 * size)
    canvas = white(side, side)
    matrix = geometry.pose((side / 2 + 0.3, side / 2), size, turn, mirror=size == 90, shear=0.1, tilt=(0.2, -0.1))
    placement.draw_logo(canvas, LOGO, matrix, curve=0.5)
    (instance,) = label_logos(np.full((side, side, 3), 255, np.uint8), canvas.placed, "nike")
    painted = 1 - canvas.colour[..., 0]
    assert soft_iou(cover_of(instance.polygons, canvas.shape, 16 if size < 100 else 6), painted) >= 0.98


@pytest.mark.parametrize("size", [40, 200])
def test_the_paint_covers_the_outline_of_the_file(plain_print, size, monkeypatch):
    monkeypatch.setattr(geometry, "bend", lambda outlines, *_: list(outlines))
    canvas = white()
    matrix = geometry.pose((150, 100), size, 0.4)
    placement.draw_logo(canvas, LOGO, matrix)
    c, s = np.cos(0.4) * size, np.sin(0.4) * size
    expected = LOGO.outlines[0] @ np.array([[c, s], [-s, c]]) + (150, 100)
    assert soft_iou(cover_of([expected], canvas.shape, 8), 1 - canvas.colour[..., 0]) >= 0.98


def test_a_strap_cuts_the_label_in_two(plain_print):
    canvas = white()
    placement.draw_logo(canvas, LOGO, geometry.pose((150, 100), 200))
    strap = Material(np.float32([1, 0, 0]))
    canvas.fill(np.array([(140, 0), (155, 0), (155, 200), (140, 200.0)]), strap)
    (instance,) = label_logos(np.zeros((200, 300, 3), np.uint8), canvas.placed, "nike")
    assert len(instance.polygons) == 2
    seen = 1 - canvas.colour[..., 0]  # the strap is red: 0 here, as the paper
    assert soft_iou(cover_of(instance.polygons, canvas.shape), seen) >= 0.98


def test_a_mark_is_cut_off_at_the_photo_and_at_its_ground(plain_print):
    canvas = white()
    clip = np.zeros(canvas.shape, np.float32)
    clip[:, 60:] = 1
    placement.draw_logo(canvas, LOGO, geometry.pose((70, 190), 200), clip=clip)
    (instance,) = label_logos(np.zeros((200, 300, 3), np.uint8), canvas.placed, "nike")
    points = np.concatenate(instance.polygons)
    assert points[:, 0].min() == pytest.approx(60, abs=0.5) and points[:, 1].max() == 200
    assert soft_iou(cover_of(instance.polygons, canvas.shape), 1 - canvas.colour[..., 0]) >= 0.98


def test_what_shines_through_stays_labelled(plain_print):
    canvas = white()
    placed = placement.draw_logo(canvas, LOGO, geometry.pose((150, 100), 200))
    before = visible_fraction(placed)
    canvas.fill(np.array([(0, 0), (300, 0), (300, 200), (0, 200.0)]), BLACK, opacity=0.4)
    assert visible_fraction(placed) == before == pytest.approx(1, abs=0.02)
    canvas.fill(np.array([(0, 0), (300, 0), (300, 200), (0, 200.0)]), BLACK, opacity=0.6)
    assert visible_fraction(placed) == 0


def test_a_later_mark_hides_an_earlier_one_but_a_lookalike_is_no_instance(plain_print):
    canvas = white()
    first = placement.draw_logo(canvas, LOGO, geometry.pose((150, 100), 200))
    square = normalize_outlines([np.array([(0, 0), (1, 0), (1, 1), (0, 1.0)])])
    assert placement.draw_logo(canvas, square, geometry.pose((100, 100), 120), label=False) is None
    assert visible_fraction(first) < 0.7 and canvas.placed == [first]


@pytest.mark.parametrize(
    "matrix", [geometry.pose((150, 100), 3), geometry.pose((-500, 100), 50), geometry.pose((0, 0), 1e9)]
)
def test_what_cannot_be_seen_is_not_painted(matrix):
    canvas = white()
    assert placement.draw_logo(canvas, LOGO, matrix) is None
    assert (canvas.colour == 1).all() and not canvas.placed


def test_outline_only_and_bordered_marks_are_filled_silhouettes(monkeypatch):
    areas = {}
    for style in (Style("print"), Style("outline", ring=3.0), Style("bordered", border=4.0)):
        monkeypatch.setattr(placement, "choose_style", lambda *_, style=style: style)
        canvas = white()
        placed = placement.draw_logo(canvas, LOGO, geometry.pose((150, 100), 200))
        areas[style.kind] = np.count_nonzero(placed.visible) / placed.scale**2
        if style.kind == "outline":  # the middle of the hook shows the ground
            assert (canvas.colour[110, 75] == 1).all()
    assert areas["outline"] == pytest.approx(areas["print"], rel=0.1)
    assert areas["bordered"] > areas["print"] * 1.2


def test_a_picture_keeps_its_colours():
    texture = np.zeros((40, 40, 3), np.uint8)
    texture[:, :20], texture[:, 20:] = (255, 0, 0), (0, 0, 255)
    square = np.array([(5, 5), (35, 5), (35, 35), (5, 35.0)])
    mark = normalize_outlines([square], texture)
    seen = set()
    for seed in range(8):
        canvas = white(100, 100, seed)
        placement.draw_logo(canvas, mark, geometry.pose((50, 50), 60))
        seen.add(tuple(np.round(canvas.colour[50, [30, 70]].ravel()).tolist()))
    assert (1, 0, 0, 0, 0, 1) in seen  # left red, right blue


@pytest.mark.parametrize("kind", KINDS)
def test_every_style_paints_finite_colours(kind, monkeypatch):
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


def test_tiny_marks_are_only_made_in_ways_that_can_be_made_tiny():
    rng = np.random.default_rng(0)
    assert {choose_style(rng, TINY - 1, 5).kind for _ in range(300)} == set(TINY_KINDS)
    assert {choose_style(rng, TINY, 5).kind for _ in range(300)} == set(KINDS)


def test_tone_on_tone_is_near_the_ground_and_print_is_not():
    ground = np.float32([0.5, 0.4, 0.3])
    for seed in range(20):
        tone = sample_paint(np.random.default_rng(seed), "tone", ground, (4, 4), 30).colour
        assert np.abs(tone - ground).max() < 0.3
    far = [
        np.abs(sample_paint(np.random.default_rng(s), "print", ground, (4, 4), 30).colour - ground).mean()
        for s in range(20)
    ]
    assert min(far) > 0.1


def test_contrast_tells_seen_from_unseen_outlines():
    y, x = np.mgrid[:100, :100]
    square = np.array([(20, 20), (80, 20), (80, 80), (20, 80.0)], np.float32)
    inside = (x >= 20) & (x < 80) & (y >= 20) & (y < 80)
    noise = np.random.default_rng(0).normal(0, 6, (100, 100))

    def photo(values):
        return np.clip(np.repeat((120 + values)[..., None], 3, 2), 0, 255).astype(np.uint8)

    assert contrast(photo(np.zeros((100, 100))), square) == 0
    assert contrast(photo(40 * inside), square) > 30
    embossed = cv2.Laplacian(inside.astype(np.float32), cv2.CV_32F) * 20
    assert contrast(photo(embossed), square) > 5
    assert contrast(photo(noise + 40 * inside), square) > 3 * contrast(photo(noise), square)


@pytest.mark.parametrize(
    ("matrix", "label"),
    [
        (geometry.pose((150, 100), 60), "swoosh"),
        (geometry.pose((150, 100), 9), "ignore"),  # tiny
        (geometry.pose((150, 100), (60, 5)), "ignore"),  # edge-on
        (geometry.pose((-20, 100), 60), "ignore"),  # hardly in the photo
    ],
)
def test_unfair_marks_are_labelled_ignore(plain_print, matrix, label):
    canvas = white()
    placement.draw_logo(canvas, LOGO, matrix)
    image = (canvas.colour * 255).astype(np.uint8)
    (instance,) = label_logos(image, canvas.placed, "swoosh")
    assert instance.label == label


def test_an_invisible_mark_is_labelled_ignore(plain_print):
    canvas = white()
    placement.draw_logo(canvas, LOGO, geometry.pose((150, 100), 60))
    (instance,) = label_logos(np.full((200, 300, 3), 90, np.uint8), canvas.placed, "swoosh")
    assert instance.label == "ignore"


def test_a_mark_with_a_hole_is_drawn_with_it(plain_print):
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1.0)]) - 0.5
    canvas = white()
    placement.draw_logo(canvas, Logo((square, square * 0.5)), geometry.pose((150, 100), 100))
    assert (canvas.colour[100, 150] == 1).all() and (canvas.colour[60, 150] == 0).all()
