"""Figures of instances, boxes and RoIs: rendered pixels, artists and Matterport's signatures."""

import inspect

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from mrcnn import visualize
from mrcnn.visualization import images, instances

NAMES = ["BG", "nike", "puma"]

# Functions of Matterport and their arguments, which scripts pass by position and by keyword.
SIGNATURES = {
    "display_images": "images, titles=None, cols=4, cmap=None, norm=None, interpolation=None",
    "random_colors": "N, bright=True",
    "apply_mask": "image, mask, color, alpha=0.5",
    "display_instances": "image, boxes, masks, class_ids, class_names, scores=None, title='', figsize=(16, 16), "
    "ax=None, show_mask=True, show_bbox=True, colors=None, captions=None",
    "display_differences": "image, gt_box, gt_class_id, gt_mask, pred_box, pred_class_id, pred_score, pred_mask, "
    "class_names, title='', ax=None, show_mask=True, show_box=True, iou_threshold=0.5, score_threshold=0.5",
    "draw_rois": "image, rois, refined_rois, mask, class_ids, class_names, limit=10",
    "draw_box": "image, box, color",
    "display_top_masks": "image, mask, class_ids, class_names, limit=4",
    "plot_precision_recall": "AP, precisions, recalls",
    "plot_overlaps": "gt_class_ids, pred_class_ids, pred_scores, overlaps, class_names, threshold=0.5",
    "draw_boxes": "image, boxes=None, refined_boxes=None, masks=None, captions=None, visibilities=None, title='', "
    "ax=None",
    "display_table": "table",
    "display_weight_stats": "model",
}


@pytest.fixture(autouse=True)
def no_windows():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def rectangles(shape: tuple[int, int], boxes: np.ndarray) -> np.ndarray:
    masks = np.zeros((*shape, len(boxes)), dtype=bool)
    for i, (y1, x1, y2, x2) in enumerate(boxes):
        masks[y1:y2, x1:x2, i] = True
    return masks


def rendered(ax, shape: tuple[int, int]) -> np.ndarray:
    """Returns the rendered image, sampled at the center of each pixel, `[H, W, 3]` in 0..1."""
    figure = ax.figure
    figure.canvas.draw()
    canvas = np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255
    y, x = np.mgrid[: shape[0], : shape[1]]
    points = ax.transData.transform(np.stack([x.ravel(), y.ravel()], axis=1))
    columns, rows = points[:, 0].astype(int), canvas.shape[0] - 1 - points[:, 1].astype(int)
    return canvas[rows, columns].reshape(*shape, 3)


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_equal_matterport(name):
    parameters = inspect.signature(getattr(visualize, name)).parameters.values()
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in parameters]
    assert ", ".join(str(p) for p in plain) == SIGNATURES[name]


def test_random_colors_are_deterministic():
    colors = visualize.random_colors(30)
    assert colors == visualize.random_colors(30) and len(set(colors)) == 30
    assert colors[:4] == visualize.random_colors(4)
    assert all(0 <= value <= 1 for color in colors for value in color)
    np.testing.assert_allclose(visualize.random_colors(3, bright=False), 0.7 * np.array(colors[:3]))


def test_apply_mask_modifies_the_image_in_place():
    image = np.full((20, 20, 3), 100, dtype=np.uint32)
    mask = rectangles((20, 20), np.array([[5, 5, 10, 10]]))[..., 0]
    assert visualize.apply_mask(image, mask, (1.0, 0.0, 0.2)) is image
    assert (image[mask] == (177, 50, 75)).all() and (image[~mask] == 100).all()


def test_draw_box_modifies_the_image_in_place():
    image = np.zeros((20, 30, 3), dtype=np.uint8)
    assert visualize.draw_box(image, np.array([2, 4, 12, 24]), (9, 8, 7)) is image
    expected = np.zeros((20, 30), dtype=bool)
    expected[2:12, 4:24] = True
    expected[4:10, 6:22] = False
    np.testing.assert_array_equal(image.any(axis=-1), expected)


BOXES = np.array([[30, 20, 90, 80], [20, 100, 70, 180]])


def test_display_instances_renders_masks_boxes_and_captions():
    image = np.full((120, 200, 3), 100, dtype=np.uint8)
    colors = [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0)]
    ax = visualize.display_instances(
        image, BOXES, rectangles((120, 200), BOXES), np.array([1, 2]), NAMES, np.array([0.9, 0.85]),
        title="a photo", colors=colors,
    )  # fmt: skip
    assert texts(ax) == ["nike 0.90", "puma 0.85"] and ax.get_title() == "a photo"
    picture = rendered(ax, (120, 200))
    grey = 100 / 255
    np.testing.assert_allclose(picture[60, 50], (0.5 * grey + 0.5, 0.5 * grey, 0.5 * grey), atol=0.02)
    np.testing.assert_allclose(picture[50, 140], (0.5 * grey, 0.5 * grey, 0.5 * grey + 0.5), atol=0.02)
    np.testing.assert_allclose(picture[110, 100], grey, atol=0.01)
    assert [patch.get_bbox().extents.tolist() for patch in ax.patches] == [[20, 30, 80, 90], [100, 20, 180, 70]]
    assert (image == 100).all()  # the input is not modified


def test_display_instances_without_masks_and_boxes_draws_outlines():
    masks = rectangles((120, 200), BOXES)
    ax = visualize.display_instances(
        np.zeros((120, 200, 3), dtype=np.uint8), BOXES, masks, np.array([1, 2]), NAMES, show_mask=False, show_bbox=False
    )
    assert texts(ax) == ["nike", "puma"] and not ax.patches
    assert not rendered(ax, (120, 200))[60, 50].any()
    (outline,) = ax.collections[0].get_paths()  # on pixel edges; pixel centers have integer coordinates
    np.testing.assert_allclose(outline.get_extents().extents, [19.5, 29.5, 79.5, 89.5])


def test_display_instances_draws_on_given_axes(monkeypatch):
    monkeypatch.setattr(instances, "show", lambda: pytest.fail("must not show a figure that the caller owns"))
    _, axes = plt.subplots(1, 2)
    masks = rectangles((120, 200), BOXES)
    ax = visualize.display_instances(np.zeros((120, 200, 3)), BOXES, masks, [1, 2], NAMES, ax=axes[1])
    assert ax is axes[1] and not axes[0].images and len(plt.get_fignums()) == 1


def test_display_instances_skips_zero_boxes_and_reports_empty_results(capsys):
    boxes = np.array([[0, 0, 0, 0], [20, 100, 70, 180]])
    ax = visualize.display_instances(np.zeros((120, 200, 3)), boxes, rectangles((120, 200), boxes), [1, 2], NAMES)
    assert texts(ax) == ["puma"]
    nothing = np.zeros((120, 200, 0), dtype=bool)
    ax = visualize.display_instances(np.zeros((120, 200, 3)), np.zeros((0, 4)), nothing, [], NAMES)
    assert not ax.texts and "No instances to display" in capsys.readouterr().out


def test_display_instances_rejects_inconsistent_arrays():
    with pytest.raises(ValueError, match="2 boxes, 1 masks and 2 class ids"):
        visualize.display_instances(np.zeros((9, 9, 3)), BOXES, np.zeros((9, 9, 1)), [1, 2], NAMES)


def test_large_images_are_reduced_in_the_same_coordinates(monkeypatch):
    monkeypatch.setattr(images, "MAX_DISPLAY_SIDE", 100)
    image = np.full((121, 203, 3), 100, dtype=np.uint8)  # 203 = 3 * 67 + 2, so blocks extend beyond the image
    color = [(1.0, 0.0, 0.0)]
    ax = visualize.display_instances(
        image, BOXES[:1], rectangles((121, 203), BOXES[:1]), [1], NAMES, show_bbox=False, colors=color
    )
    assert ax.images[0].get_array().shape == (41, 68, 3)
    assert list(ax.images[0].get_extent()) == [-0.5, 203.5, 122.5, -0.5]
    # Every third pixel of the mask (rows 30 to 87, columns 21 to 78) is drawn as a block of 3 x 3 pixels.
    (outline,) = ax.collections[0].get_paths()
    np.testing.assert_allclose(outline.get_extents().extents, [20.5, 29.5, 80.5, 89.5])
    picture = rendered(ax, (121, 203))
    red = picture[..., 0] - picture[..., 1] > 0.25
    rows, columns = np.flatnonzero(red[:, 50]), np.flatnonzero(red[80])
    np.testing.assert_allclose([rows.min(), columns.min(), rows.max(), columns.max()], [30, 20, 89, 79], atol=3)


def test_display_differences_matches_ground_truth_and_detections():
    masks = rectangles((120, 200), BOXES)
    shifted = BOXES + [0, 10, 0, 10]
    order = [1, 0]  # the lower score first
    ax = visualize.display_differences(
        np.zeros((120, 200, 3)), BOXES, np.array([1, 2]), masks, shifted[order], np.array([2, 1]),
        np.array([0.6, 0.8]), rectangles((120, 200), shifted)[..., order], NAMES,
    )  # fmt: skip
    # The IoUs are 50 / 70 and 70 / 90. The ground truth has no captions.
    assert texts(ax) == ["0.80 / 0.71", "0.60 / 0.78"]
    assert [round(text.get_position()[0]) for text in ax.texts] == [30, 110]
    edges = [to_rgb(patch.get_edgecolor()) for patch in ax.patches]
    assert edges == [instances.GT_COLOR] * 2 + [instances.DETECTION_COLOR] * 2
    assert "Ground truth" in ax.get_title()


def test_display_differences_of_a_false_positive_shows_the_highest_iou():
    masks = rectangles((120, 200), BOXES)
    ax = visualize.display_differences(
        np.zeros((120, 200, 3)), BOXES[:1], np.array([1]), masks[..., :1], BOXES[1:], np.array([1]), np.array([0.7]),
        masks[..., 1:], NAMES, title="mine",
    )  # fmt: skip
    assert texts(ax) == ["0.70 / 0.00"] and ax.get_title() == "mine"


def test_display_differences_of_a_negative():
    nothing = np.zeros((0, 4)), np.zeros(0, dtype=int), np.zeros((120, 200, 0), dtype=bool)
    masks = rectangles((120, 200), BOXES)
    ax = visualize.display_differences(
        np.zeros((120, 200, 3)), *nothing, BOXES, np.array([1, 1]), np.array([0.7, 0.6]), masks, NAMES
    )
    assert texts(ax) == ["0.70 / 0.00", "0.60 / 0.00"]


def test_draw_boxes_connects_boxes_and_refined_boxes():
    refined = BOXES + 5
    ax = visualize.draw_boxes(
        np.zeros((120, 200, 3)), BOXES, refined, visibilities=[0, 2], captions=["one", None], title="t"
    )
    assert [patch.get_linestyle() for patch in ax.patches] == ["dotted", "solid", "dashed", "solid"]
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[20, 30], [25, 35]], [[100, 20], [105, 25]]]
    assert texts(ax) == ["one"] and ax.get_title() == "t"
    assert ax.get_ylim() == (131.5, -12.5)  # 10% margin


def test_draw_boxes_with_refined_boxes_and_masks_only():
    ax = visualize.draw_boxes(np.zeros((120, 200, 3)), refined_boxes=BOXES, masks=rectangles((120, 200), BOXES))
    assert len(ax.patches) == 2 and not ax.lines
    assert rendered(ax, (120, 200))[60, 50].any()
    with pytest.raises(ValueError, match="expected boxes or refined_boxes"):
        visualize.draw_boxes(np.zeros((120, 200, 3)))


def test_draw_rois_colors_and_counts_positives(capsys):
    rois = np.array([[10, 10, 50, 60], [20, 20, 90, 90], [0, 0, 0, 0], [60, 100, 100, 180]])
    masks = np.ones((4, 28, 28), dtype=np.float32)
    ax = visualize.draw_rois(np.zeros((120, 200, 3)), rois, rois + 3, masks, np.array([1, 0, 0, 2]), NAMES)
    assert sorted(texts(ax)) == ["nike", "puma"] and len(ax.lines) == 2
    assert len(ax.patches) == 5  # two pairs and one negative; the all-zero RoI is padding
    assert capsys.readouterr().out == "Positive ROIs:  2\nNegative ROIs:  2\nPositive Ratio: 0.50\n"


def test_draw_rois_respects_the_limit():
    rois = np.tile([10, 10, 50, 60], (30, 1))
    ax = visualize.draw_rois(
        np.zeros((120, 200, 3)), rois, rois, np.zeros((30, 28, 28)), np.zeros(30, dtype=int), NAMES, limit=7
    )
    assert len(ax.patches) == 7


def test_display_top_masks_shows_the_largest_classes():
    masks = rectangles((120, 200), np.array([[0, 0, 10, 10], [0, 0, 60, 60], [50, 50, 70, 70]]))
    axes = visualize.display_top_masks(np.zeros((120, 200, 3)), masks, np.array([1, 2, 1]), NAMES, limit=3)
    assert [ax.get_title() for ax in axes] == ["H x W=120x200", "puma", "nike", "-"]
    nike = axes[2].images[0].get_array()
    assert nike[5, 5] == 1 and nike[60, 60] == 2 and nike[100, 100] == 0


def test_display_images_draws_a_grid():
    pictures = [np.full((20, 30, 3), 200, dtype=np.uint8), np.eye(20), np.zeros((20, 30, 1)), np.ones((20, 30), bool)]
    axes = visualize.display_images(pictures, titles=list("abcd"), cols=3, cmap="Blues")
    assert [ax.get_title() for ax in axes] == list("abcd")
    assert [ax.get_subplotspec().rowspan.start for ax in axes] == [0, 0, 0, 1]
    assert axes[1].images[0].get_cmap().name == "Blues"
    assert visualize.display_images([]) == []
    assert [ax.get_title() for ax in visualize.display_images(pictures, titles=["a"])] == ["a", "", "", ""]
    assert [ax.get_title() for ax in visualize.display_images(pictures[:1], titles=["a", "b"])] == ["a"]


@pytest.mark.parametrize("backend, shown", [("agg", 0), ("module://matplotlib_inline.backend_inline", 1), ("QtAgg", 1)])
def test_figures_are_not_shown_on_headless_backends(monkeypatch, backend, shown):
    calls = []
    monkeypatch.setattr(plt, "show", lambda: calls.append(1))
    monkeypatch.setattr(plt, "get_backend", lambda: backend)
    images.show()
    assert len(calls) == shown


def test_new_figure_has_the_aspect_ratio_of_the_image():
    ax = images.new_axes((16, 16), (300, 1200, 3))
    assert ax.figure.get_size_inches().tolist() == [16, 4]
    ax = images.new_axes((16, 16), (1200, 300))
    assert ax.figure.get_size_inches().tolist() == [4, 16]
