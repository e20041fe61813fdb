"""Raster drawing: pixels, unmodified inputs and image sizes."""

import subprocess
import sys

import numpy as np
import pytest

from mrcnn.data.image_files import as_rgb
from mrcnn.visualization import drawing
from mrcnn.visualization.colors import PALETTE, class_color

NAMES = ["BG", "nike", "puma"]


def photo(height: int = 120, width: int = 160) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def rectangles(shape: tuple[int, ...], *boxes: tuple[int, int, int, int]) -> np.ndarray:
    masks = np.zeros((*shape[:2], len(boxes)), dtype=bool)
    for i, (y1, x1, y2, x2) in enumerate(boxes):
        masks[y1:y2, x1:x2, i] = True
    return masks


def result(shape: tuple[int, ...], *boxes: tuple[int, int, int, int]) -> dict:
    count = len(boxes)
    return {
        "class_ids": np.ones(count, dtype=np.int32),
        "scores": np.linspace(0.9, 0.5, count),
        "rois": np.array(boxes, dtype=np.int32).reshape(count, 4),
        "masks": rectangles(shape, *boxes),
    }


# new_canvas


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 4)])
def test_new_canvas_accepts_grayscale_rgb_and_rgba(shape):
    image = np.full(shape, 7, dtype=np.uint8)
    rgb = drawing.new_canvas(image)
    assert rgb.shape == (4, 5, 3) and rgb.dtype == np.uint8 and (rgb == 7).all()
    rgb[:] = 0
    assert (image == 7).all()  # the canvas is a copy


def test_new_canvas_of_floats():
    assert drawing.new_canvas(np.array([[0.0, 0.5, 1.0]]))[0, :, 0].tolist() == [0, 128, 255]
    assert drawing.new_canvas(np.array([[0.0, 127.6, 300.0, -4.0]]))[0, :, 0].tolist() == [0, 128, 255, 0]
    assert drawing.new_canvas(np.array([[np.nan, 2.0, -np.inf, np.inf]]))[0, :, 0].tolist() == [0, 2, 0, 255]


def test_new_canvas_scales_16_bits_as_the_network_input():
    image = np.array([[0, 255, 256, 65535]], np.uint16)
    assert drawing.new_canvas(image)[0, :, 0].tolist() == as_rgb(image)[0, :, 0].tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize("shape", [(4,), (4, 5, 5), (1, 4, 5, 3)])
def test_new_canvas_rejects_other_shapes(shape):
    with pytest.raises(ValueError, match="expected"):
        drawing.new_canvas(np.zeros(shape))


# overlay


def test_overlay_tints_and_outlines_masks_only():
    image = photo()
    before = image.copy()
    picture = drawing.overlay(image, result(image.shape, (40, 40, 80, 100)), NAMES, labels=False, alpha=0.5)
    np.testing.assert_array_equal(image, before)
    color = np.array(class_color(1))
    inside = (slice(45, 75), slice(45, 95))
    np.testing.assert_allclose(picture[inside], image[inside] * 0.5 + color * 0.5, atol=1)
    outside = np.ones(image.shape[:2], dtype=bool)
    outside[34:86, 34:106] = False
    np.testing.assert_array_equal(picture[outside], image[outside])


def test_overlay_labels_have_the_color_of_the_instance():
    image = np.zeros((300, 400, 3), dtype=np.uint8)
    boxes = (100, 50, 150, 150), (200, 200, 260, 350)
    shown = result(image.shape, *boxes) | {"class_ids": np.array([1, 2])}
    with_labels = drawing.overlay(image, shown, NAMES)
    without = drawing.overlay(image, shown, NAMES, labels=False)
    for box, class_id in zip(boxes, (1, 2), strict=True):
        above = slice(box[0] - 14, box[0] - 4), slice(box[1], box[3])
        assert not without[above].any()
        assert (with_labels[above] == class_color(class_id)).all(axis=-1).mean() > 0.2


def test_highest_score_is_drawn_on_top():
    image = np.zeros((60, 60, 3), dtype=np.uint8)
    shown = result(image.shape, (10, 10, 50, 50), (10, 10, 50, 50)) | {"class_ids": np.array([1, 2])}
    for scores, top in (([0.9, 0.1], 1), ([0.1, 0.9], 2)):
        picture = drawing.overlay(image, shown | {"scores": np.array(scores)}, NAMES, alpha=1.0, labels=False)
        assert tuple(picture[30, 30]) == class_color(top)


def test_overlay_of_ground_truth_without_scores_and_boxes():
    image = photo()
    truth = {"class_ids": np.array([-1]), "masks": rectangles(image.shape, (40, 40, 80, 100))}
    full = result(image.shape, (40, 40, 80, 100))
    np.testing.assert_array_equal(
        drawing.overlay(image, truth, NAMES, captions=["nike 0.90"]), drawing.overlay(image, full, NAMES)
    )


def test_overlay_without_masks_draws_boxes():
    image = np.zeros((60, 80, 3), dtype=np.uint8)
    found = {"class_ids": np.array([1]), "rois": np.array([[10, 20, 40, 60]])}
    picture = drawing.overlay(image, found, NAMES, labels=False)
    drawn = picture.any(axis=-1)
    assert drawn[10, 20:60].all() and drawn[39, 20:60].all() and drawn[10:40, 20].all() and drawn[10:40, 59].all()
    assert drawn.sum() == 2 * 40 + 2 * 28  # one pixel wide


def test_overlay_without_instances_equals_the_image():
    image = photo()
    np.testing.assert_array_equal(drawing.overlay(image, result(image.shape), NAMES), image)


@pytest.mark.parametrize("height, width", [(1, 1), (3, 500), (500, 3), (40, 40), (1600, 1280)])
def test_overlay_accepts_images_of_any_size(height, width):
    image = photo(height, width)
    box = (height // 4, width // 4, height // 2 + 1, width // 2 + 1)
    outside = (height, width, height + 5, width + 5)
    shown = result(image.shape, box, outside, (0, 0, 0, 0))
    assert drawing.overlay(image, shown, NAMES, boxes=True).shape == image.shape


def test_line_width_and_font_size_scale_with_the_image():
    sizes = [(200, 300), (1000, 1500), (4000, 6000)]
    assert [drawing.line_width(s) for s in sizes] == [1, 3, 14]
    assert [drawing.font_size(s) for s in sizes] == [11, 27, 108]
    assert drawing.font_size((1000, 1500), count=40) < 27


@pytest.mark.parametrize(
    "change, message",
    [
        ({"masks": np.zeros((9, 9, 1), dtype=bool)}, "masks: expected"),
        ({"scores": np.ones(2)}, "1 class_ids, 1 rois and 2 scores"),
        ({"masks": None, "rois": None}, "masks or rois"),
    ],
)
def test_overlay_rejects_inconsistent_results(change, message):
    image = photo()
    with pytest.raises(ValueError, match=message):
        drawing.overlay(image, result(image.shape, (1, 1, 9, 9)) | change, NAMES)


def test_captions():
    assert drawing.caption(NAMES, 1, 0.987) == "nike 0.99"
    assert drawing.caption(NAMES, 2) == drawing.caption(NAMES, 2, float("nan")) == "puma"
    assert drawing.caption(NAMES, 7, 0.5) == "class 7 0.50"
    assert drawing.caption(NAMES, -1) == "nike (ignore)"


@pytest.mark.parametrize("width", [1, 2, 5, 12])
def test_outline_is_a_colored_line_with_a_dark_casing(width):
    image = np.full((80, 80, 3), 200, dtype=np.uint8)
    drawing.draw_outline(image, rectangles(image.shape, (30, 30, 80, 80))[..., 0], (255, 0, 0), width)
    across = image[:60, 60].astype(int)  # from the outside to the inside across the upper edge
    redness = across[:, 0] - across[:, 1]
    assert (redness > 128).sum() == width
    assert abs(np.flatnonzero(redness > 128).mean() - 29.5) <= 0.5
    assert across[: 30 - (width + 1) // 2].min() < 150 and (across[31 + width :] == 200).all()
    assert (image[79, 60] == 200).all()  # no line at the image border


def test_outline_of_a_small_mask_is_thin():
    image = np.full((1500, 1500, 3), 200, dtype=np.uint8)
    assert drawing.line_width(image.shape) == 4
    canvas = drawing.overlay(image, result(image.shape, (700, 700, 720, 760)), NAMES, labels=False)
    tint, line = canvas[710, 730].astype(int), canvas[700, 730].astype(int)
    column = canvas[700:720, 730].astype(int)
    assert (np.abs(column - tint).max(axis=1) < 8).sum() >= 16, "most of it shows through the tint"
    assert np.abs(line - tint).max() > 30


def test_outline_is_the_same_at_every_image_border():
    pictures = []
    for flip in (slice(None), slice(None, None, -1)):
        image = np.full((40, 40, 3), 200, dtype=np.uint8)
        drawing.draw_outline(image, rectangles(image.shape, (0, 0, 15, 20))[flip, flip, 0], (255, 0, 0), 3)
        pictures.append(image[flip, flip])
    np.testing.assert_array_equal(*pictures)
    assert (pictures[0] != 200).any()


def test_outline_of_a_mask_one_pixel_wide():
    image = np.full((40, 60, 3), 255, dtype=np.uint8)
    drawing.draw_outline(image, rectangles(image.shape, (20, 10, 21, 50))[..., 0], (255, 0, 0), width=2)
    np.testing.assert_allclose(image[20, 12:48], np.tile((255, 0, 0), (36, 1)), atol=12)
    assert (image[:15] == 255).all() and (image[26:] == 255).all()


# color_splash


def test_color_splash_is_gray_outside_the_masks():
    image = photo()
    masks = rectangles(image.shape, (10, 10, 40, 40), (30, 30, 60, 90))
    picture = drawing.color_splash(image, masks)
    inside = masks.any(axis=-1)
    np.testing.assert_array_equal(picture[inside], image[inside])
    luma = image @ (0.299, 0.587, 0.114)  # ITU-R 601
    np.testing.assert_allclose(picture[~inside], np.repeat(luma[~inside][:, None], 3, axis=1), atol=1)
    np.testing.assert_array_equal(drawing.color_splash(image, inside), picture)


def test_color_splash_without_instances_is_gray():
    picture = drawing.color_splash(photo(), np.zeros((120, 160, 0), dtype=bool))
    assert (picture == picture[..., :1]).all()


def test_color_splash_rejects_masks_of_another_size():
    with pytest.raises(ValueError, match=r"masks: expected \[120, 160, N\], got \[160, 120, 1\]"):
        drawing.color_splash(photo(), np.zeros((160, 120, 1)))


# crops


def test_crops_have_a_margin_and_are_clipped_to_the_image():
    image = photo()
    found = result(image.shape, (40, 50, 60, 90), (0, 100, 30, 160))
    first, second = drawing.crops(image, found, margin=0.1)
    np.testing.assert_array_equal(first, image[36:64, 46:94])
    np.testing.assert_array_equal(second, image[:36, 94:160])


def test_cutout_is_transparent_outside_the_instance():
    image = photo()
    found = result(image.shape, (40, 50, 60, 90))
    (cutout,) = drawing.crops(image, found, margin=0.1, cutout=True)
    assert cutout.shape == (28, 48, 4)
    assert (cutout[4:24, 4:44, 3] == 255).all() and cutout[..., 3].sum() == 255 * 20 * 40
    with pytest.raises(ValueError, match="no masks"):
        drawing.crops(image, found | {"masks": None}, cutout=True)


def test_crop_of_a_box_outside_the_image():
    image = photo()
    found = {"class_ids": [1, 1], "rois": [[500, 500, 600, 600], [-50, -50, -10, -10]]}
    assert [crop.shape for crop in drawing.crops(image, found)] == [(1, 1, 3), (1, 1, 3)]


# modules


def test_drawing_and_evaluation_do_not_import_tensorflow_or_pyplot():
    code = "import sys, mrcnn.visualization.drawing, mrcnn.evaluation\n"
    code += "print({'tensorflow', 'keras', 'matplotlib.pyplot'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_blend_mask_accepts_integer_and_float_images():
    mask = rectangles((9, 9), (2, 3, 5, 6))[..., 0]
    for dtype in (np.uint8, np.uint32, np.float32):
        image = np.full((9, 9, 3), 100, dtype=dtype)
        drawing.blend_mask(image, mask, (200, 0, 100), 0.5)
        assert (image[mask] == (150, 50, 100)).all() and (image[~mask] == 100).all()


def test_class_colors_are_drawn_unchanged():
    assert class_color(1) == tuple(int(v) for v in PALETTE[0])
