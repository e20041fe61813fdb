"""Labels: they fit, they stay in the picture, they do not hide each other."""

import numpy as np
import pytest

from mrcnn.visualization.captions import draw_labels, fit_text, load_font, place_chip, render_chip

NO_CHIPS = np.zeros((0, 4))


def test_text_shrinks_then_is_cut():
    wide = load_font(20).getlength("swoosh 0.97")
    assert fit_text("swoosh 0.97", 20, int(wide) + 1) == ("swoosh 0.97", 20)
    text, size = fit_text("swoosh 0.97", 20, int(wide * 0.7))
    assert text == "swoosh 0.97" and 8 <= size < 20
    text, size = fit_text("swoosh 0.97", 20, 30)
    assert text.endswith("…") and size == 8 and load_font(size).getlength(text) <= 30


def test_line_breaks_do_not_enter_a_label():
    assert fit_text("two\nlines", 12, 1000) == ("two lines", 12)


def test_chips_of_a_size_have_one_height_whatever_letters_they_hold():
    assert render_chip("gjpq", (255, 0, 0), 20, 500)[0].shape[0] == render_chip("xxx", (0, 0, 0), 20, 500)[0].shape[0]


def test_the_usual_place_is_above_the_left_corner():
    box = np.array([100.0, 50, 200, 300])
    assert place_chip((20, 80), box, (400, 400), NO_CHIPS, box[None]) == (80, 50)


def test_without_room_above_a_label_goes_beside_or_below():
    wide, filling = np.array([5.0, 50, 200, 300]), np.array([5.0, 0, 200, 400])
    assert place_chip((20, 80), wide, (400, 400), NO_CHIPS, wide[None]) == (0, 300)
    assert place_chip((20, 80), filling, (400, 400), NO_CHIPS, filling[None]) == (200, 0)


def test_labels_of_the_same_box_do_not_cover_each_other():
    box = np.array([100.0, 50, 160, 120])
    chips = NO_CHIPS
    for _ in range(10):
        y, x = place_chip((20, 80), box, (400, 400), chips, box[None])
        new = np.array([y, x, y + 20, x + 80])
        apart = (new[0] >= chips[:, 2]) | (new[2] <= chips[:, 0]) | (new[1] >= chips[:, 3]) | (new[3] <= chips[:, 1])
        assert apart.all()
        chips = np.vstack([chips, new])


@pytest.mark.parametrize("box", [(-90, -90, -50, -50), (390, 390, 900, 900), (0, 0, 400, 400), (200, 200, 200, 200)])
def test_labels_stay_in_the_picture(box):
    y, x = place_chip((20, 80), np.array(box, dtype=float), (400, 400), NO_CHIPS, np.array([box], dtype=float))
    assert 0 <= y <= 380 and 0 <= x <= 320


@pytest.mark.parametrize("height, width", [(5, 5), (3, 400), (400, 3), (200, 200)])
def test_any_picture_takes_any_label(height, width):
    image = np.zeros((height, width, 3), dtype=np.uint8)
    draw_labels(image, [("a long name 0.50", (0, 0, height, width), (255, 145, 0))] * 3, font_size=14)
    assert image.any()


def test_a_label_has_its_color_and_readable_letters():
    image = np.full((100, 200, 3), 50, dtype=np.uint8)
    draw_labels(image, [("nike", (60, 20, 90, 80), (255, 145, 0))], font_size=20)
    colors = {tuple(c) for c in image.reshape(-1, 3)}
    assert (255, 145, 0) in colors and (0, 0, 0) in colors
    assert (image[60:] == 50).all()  # above the box, not on it
