"""Whole figures against stored pictures, 120 pixels wide: what is where, in which colour, whatever the font.

MRCNN_NEW_PICTURES=1 stores the figures of this run in place of comparing them; look at them before you commit them.
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
TOLERANCE = 32  # grey levels of 255 by which a pixel may differ; letters of another font differ more, in few pixels
OTHERS = 0.02  # share of pixels that may differ more
NAMES = ["BG", "nike", "puma"]
BOXES = np.array([[30, 20, 90, 80], [20, 100, 70, 180]])


def photo() -> np.ndarray:
    """A photo of colours that run from left to right and from top to bottom."""
    y, x = np.mgrid[:120, :200]
    return np.stack([x, 2 * y, 200 - x], axis=-1).astype(np.uint8)


def ellipses(boxes: np.ndarray) -> np.ndarray:
    """`[120, 200, N]`: an ellipse in each box."""
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
    """The figure that a function draws, `[h, WIDTH, 3]`: averaged, so that letters become grey."""
    ax = plt.subplots(figsize=(6, 4))[1]
    function(ax, *arguments)
    figure = plt.gcf()  # some functions make their own
    figure.canvas.draw()
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    height = round(picture.height * WIDTH / picture.width)
    return np.asarray(picture.resize((WIDTH, height), Image.Resampling.BOX))


def difference(picture: np.ndarray, name: str) -> float:
    """Share of the pixels that are not those of a stored picture."""
    stored = np.asarray(Image.open(FOLDER / f"{name}.png").convert("RGB"))
    assert picture.shape == stored.shape
    return float(np.mean(np.abs(picture.astype(int) - stored).max(axis=-1) > TOLERANCE))


@pytest.mark.parametrize("function", FIGURES, ids=lambda function: function.__name__)
def test_figure(function):
    picture = draw(function)
    if os.environ.get("MRCNN_NEW_PICTURES"):
        Image.fromarray(picture).save(FOLDER / f"{function.__name__}.png", optimize=True)
    assert difference(picture, function.__name__) <= OTHERS


@pytest.mark.parametrize("change", [[0, 8, 0, 8], [0, 0, 12, 0], [2, 2, 2, 2]])
def test_objects_elsewhere_are_noticed(change):
    assert difference(draw(instances, BOXES + change), "instances") > OTHERS


@pytest.mark.parametrize("function", [instances, differences, precision_recall], ids=lambda function: function.__name__)
def test_letters_of_another_font_are_not_noticed(function):
    with plt.rc_context({"font.family": "STIXGeneral"}):
        assert difference(draw(function), function.__name__) <= OTHERS
