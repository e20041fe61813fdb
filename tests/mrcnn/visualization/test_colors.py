"""Color distances of the palette with color vision deficiency, and contrast of text."""

import numpy as np
import pytest

from mrcnn.visualization.colors import PALETTE, class_color, distinct_colors, text_color

# Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB.
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
TRITANOPIA = [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
OKABE_ITO = [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)]


def linear(colors) -> np.ndarray:
    srgb = np.asarray(colors) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Converts to OKLab (Ottosson 2020)."""
    lms = rgb @ np.array(
        [
            [0.4122214708, 0.2119034982, 0.0883024619],
            [0.5363325363, 0.6806995451, 0.2817188376],
            [0.0514459929, 0.1073969566, 0.6299787005],
        ]
    )
    return np.cbrt(lms) @ np.array(
        [
            [0.2104542553, 1.9779984951, 0.0259040371],
            [0.7936177850, -2.4285922050, 0.7827717662],
            [-0.0040720468, 0.4505937099, -0.8086757660],
        ]
    )


def closest_pair(colors, vision) -> float:
    lab = oklab(np.clip(linear(colors) @ np.array(vision).T, 0, 1))
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    return distances[np.triu_indices(len(lab), 1)].min()


VISIONS = [np.eye(3), PROTANOPIA, DEUTERANOPIA, TRITANOPIA]


@pytest.mark.parametrize("vision", VISIONS)
def test_colors_are_distinguishable_for_every_kind_of_vision(vision):
    assert closest_pair(PALETTE[:3], vision) > 0.18
    assert closest_pair(PALETTE[:8], vision) > 0.1
    assert closest_pair(PALETTE, vision) > 0.05


def test_worst_case_distance_is_larger_than_that_of_okabe_ito():
    assert min(closest_pair(PALETTE[:8], v) for v in VISIONS) > min(closest_pair(OKABE_ITO, v) for v in VISIONS)


def test_colors_have_a_fixed_order_and_are_unique():
    many = distinct_colors(100)
    assert many.shape == (100, 3) and many.dtype == np.uint8
    np.testing.assert_array_equal(distinct_colors(5), many[:5])
    assert len(np.unique(many, axis=0)) == 100
    assert distinct_colors(0).shape == (0, 3)


def test_class_colors():
    assert class_color(1) == class_color(-1) == tuple(PALETTE[0]) and class_color(3) == tuple(PALETTE[2])
    assert len({class_color(class_id) for class_id in range(1, 81)}) == 80


def test_text_is_legible_on_every_color():
    for color in distinct_colors(64):
        light, dark = sorted((linear(c) @ (0.2126, 0.7152, 0.0722) for c in (color, text_color(color))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2 AA
