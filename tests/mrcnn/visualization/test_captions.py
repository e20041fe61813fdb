"""Text labels: size, placement and rendering."""

import numpy as np
import pytest

from mrcnn.visualization.captions import draw_labels, fit_text, load_font, place_label, render_label

NO_LABELS = np.zeros((0, 4))


def test_font_size_is_reduced_before_text_is_truncated():
    wide = load_font(20).getlength("swoosh 0.97")
    assert fit_text("swoosh 0.97", 20, int(wide) + 1) == ("swoosh 0.97", 20)
    text, size = fit_text("swoosh 0.97", 20, int(wide * 0.7))
    assert text == "swoosh 0.97" and 8 <= size < 20
    text, size = fit_text("swoosh 0.97", 20, 30)
    assert text.endswith("…") and size == 8 and load_font(size).getlength(text) <= 30


def test_line_breaks_are_removed():
    assert fit_text("two\nlines", 12, 1000) == ("two lines", 12)


def test_label_height_depends_only_on_the_font_size():
    assert render_label("gjpq", (255, 0, 0), 20, 500)[0].shape[0] == render_label("xxx", (0, 0, 0), 20, 500)[0].shape[0]


def test_default_position_is_above_the_top_left_corner():
    box = np.array([100.0, 50, 200, 300])
    assert place_label((20, 80), box, (400, 400), NO_LABELS, box[None]) == (80, 50)


def test_label_is_placed_beside_or_below_without_space_above():
    wide, filling = np.array([5.0, 50, 200, 300]), np.array([5.0, 0, 200, 400])
    assert place_label((20, 80), wide, (400, 400), NO_LABELS, wide[None]) == (0, 300)
    assert place_label((20, 80), filling, (400, 400), NO_LABELS, filling[None]) == (200, 0)


def test_labels_of_the_same_box_do_not_overlap():
    box = np.array([100.0, 50, 160, 120])
    placed = NO_LABELS
    for _ in range(10):
        y, x = place_label((20, 80), box, (400, 400), placed, box[None])
        new = np.array([y, x, y + 20, x + 80])
        apart = (
            (new[0] >= placed[:, 2]) | (new[2] <= placed[:, 0]) | (new[1] >= placed[:, 3]) | (new[3] <= placed[:, 1])
        )
        assert apart.all()
        placed = np.vstack([placed, new])


@pytest.mark.parametrize("box", [(-90, -90, -50, -50), (390, 390, 900, 900), (0, 0, 400, 400), (200, 200, 200, 200)])
def test_labels_are_inside_the_image(box):
    y, x = place_label((20, 80), np.array(box, dtype=float), (400, 400), NO_LABELS, np.array([box], dtype=float))
    assert 0 <= y <= 380 and 0 <= x <= 320


@pytest.mark.parametrize("height, width", [(5, 5), (3, 400), (400, 3), (200, 200)])
def test_labels_fit_images_of_any_size(height, width):
    image = np.zeros((height, width, 3), dtype=np.uint8)
    draw_labels(image, [("a long name 0.50", (0, 0, height, width), (255, 145, 0))] * 3, font_size=14)
    assert image.any()


def test_label_has_the_given_color_and_contrasting_text():
    image = np.full((100, 200, 3), 50, dtype=np.uint8)
    draw_labels(image, [("nike", (60, 20, 90, 80), (255, 145, 0))], font_size=20)
    colors = {tuple(c) for c in image.reshape(-1, 3)}
    assert (255, 145, 0) in colors and (0, 0, 0) in colors
    assert (image[60:] == 50).all()  # the label is above the box
