"""Image comparison tests of figures at a width of 120 pixels, independent of the font.

Set MRCNN_NEW_PICTURES=1 to replace the stored pictures. Inspect them before committing.
"""

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from mrcnn import visualize

FOLDER = Path(__file__).parent / "pictures"
WIDTH = 120
TOLERANCE = 32  # gray levels; text in another font exceeds this in a few pixels
MAX_DIFFERENT = 0.02  # fraction of pixels that may differ by more than the tolerance
NAMES = ["BG", "nike", "puma"]
BOXES = np.array([[30, 20, 90, 80], [20, 100, 70, 180]])


def photo() -> np.ndarray:
    """Returns an image with horizontal and vertical color gradients."""
    y, x = np.mgrid[:120, :200]
    return np.stack([x, 2 * y, 200 - x], axis=-1).astype(np.uint8)


def ellipses(boxes: np.ndarray) -> np.ndarray:
    """Returns masks `[120, 200, N]` with the ellipse inscribed in each box."""
    y, x = np.mgrid[:120, :200]
    masks = []
    for y1, x1, y2, x2 in boxes:
        masks.append(((2 * y - y1 - y2) / (y2 - y1)) ** 2 + ((2 * x - x1 - x2) / (x2 - x1)) ** 2 <= 1)
    return np.stack(masks, axis=-1)


def instances(ax, boxes=BOXES):
    visualize.display_instances(photo(), boxes, ellipses(boxes), [1, 2], NAMES, np.array([0.9, 0.6]), title="t", ax=ax)


def mask(ax):
    ax.imshow(visualize.apply_mask(photo(), ellipses(BOXES)[..., 1], (1.0, 0.0, 0.0), alpha=0.7))


def boxes(ax):
    captions, masks = ["one", "two"], ellipses(BOXES + 6)
    visualize.draw_boxes(photo(), BOXES, BOXES + 6, masks, captions, visibilities=[2, 0], title="t", ax=ax)


def differences(ax):
    found = BOXES[:1] + [0, 12, 0, 12]
    truth = BOXES, np.array([1, 2]), ellipses(BOXES)
    visualize.display_differences(
        photo(), *truth, found, np.array([1]), np.array([0.8]), ellipses(found), NAMES, title="t", ax=ax
    )


def precision_recall(ax):
    visualize.plot_precision_recall(0.725, np.array([1, 1, 0.5, 0.25, 0]), np.array([0, 0.5, 0.5, 1, 1]))


def overlaps(ax):
    table = np.array([[0.9, 0.0], [0.6, 0.4], [0.1, 0.7]])
    visualize.plot_overlaps(np.array([1, 2]), np.array([1, 2, 2]), np.array([0.95, 0.7, 0.5]), table, NAMES)


FIGURES = [instances, mask, boxes, differences, precision_recall, overlaps]


@pytest.fixture(autouse=True)
def plain_figures():
    plt.switch_backend("agg")
    with plt.rc_context({**plt.rcParamsDefault, "backend": "agg"}):
        yield
    plt.close("all")


def draw(function, *arguments) -> np.ndarray:
    """Renders the figure of a function, reduced to `[h, WIDTH, 3]` by averaging."""
    ax = plt.subplots(figsize=(6, 4))[1]
    function(ax, *arguments)
    figure = plt.gcf()  # some functions create their own
    figure.canvas.draw()
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    height = round(picture.height * WIDTH / picture.width)
    return np.asarray(picture.resize((WIDTH, height), Image.Resampling.BOX))


def difference(picture: np.ndarray, name: str) -> float:
    """Returns the fraction of pixels that differ from a stored picture."""
    stored = np.asarray(Image.open(FOLDER / f"{name}.png").convert("RGB"))
    assert picture.shape == stored.shape
    return float(np.mean(np.abs(picture.astype(int) - stored).max(axis=-1) > TOLERANCE))


@pytest.mark.parametrize("function", FIGURES, ids=lambda function: function.__name__)
def test_figure(function):
    picture = draw(function)
    if os.environ.get("MRCNN_NEW_PICTURES"):
        Image.fromarray(picture).save(FOLDER / f"{function.__name__}.png", optimize=True)
    assert difference(picture, function.__name__) <= MAX_DIFFERENT


@pytest.mark.parametrize("change", [[0, 8, 0, 8], [0, 0, 12, 0], [2, 2, 2, 2]])
def test_moved_objects_are_detected(change):
    assert difference(draw(instances, BOXES + change), "instances") > MAX_DIFFERENT


@pytest.mark.parametrize("function", [instances, differences, precision_recall], ids=lambda function: function.__name__)
def test_comparison_is_independent_of_the_font(function):
    with plt.rc_context({"font.family": "STIXGeneral"}):
        assert difference(draw(function), function.__name__) <= MAX_DIFFERENT
