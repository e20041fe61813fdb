"""Colors for instances and classes, distinguishable for people with color vision deficiency."""

import numpy as np

# Saturated colors for drawing on photographs. From the fourth on, each color maximizes the OKLab distance to all
# previous colors, for normal vision and for simulated protanopia, deuteranopia and tritanopia. The minimum distance
# between the first eight colors exceeds the minimum distance between the seven Okabe-Ito colors, which are for plots.
PALETTE = np.array(
    [
        (0, 194, 255),
        (255, 145, 0),
        (196, 0, 110),
        (34, 85, 255),
        (153, 255, 204),
        (255, 68, 153),
        (238, 238, 34),
        (153, 0, 0),
        (51, 51, 187),
        (187, 102, 34),
        (0, 153, 221),
        (153, 221, 136),
        (136, 0, 119),
        (0, 238, 238),
        (136, 85, 170),
        (170, 68, 34),
    ],
    dtype=np.uint8,
)

# Colors of Okabe and Ito (2008), for lines and areas on a white background.
PLOT_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def distinct_colors(count: int) -> np.ndarray:
    """Returns the first `count` colors of a fixed sequence, uint8 `[count, 3]`.

    The 16 colors of the palette are followed by alternating darker and lighter shades of the palette.
    """
    repeats = -(-count // len(PALETTE))
    return np.concatenate([PALETTE[:0], *(_shade(PALETTE, step) for step in range(repeats))])[:count]


def _shade(colors: np.ndarray, step: int) -> np.ndarray:
    """Darkens colors for an odd step and lightens them for an even step. Step 0 returns the colors unchanged."""
    if step == 0:
        return colors
    target, amount = (0.0, 255.0)[step % 2 == 0], 1 - 0.6 ** ((step + 1) // 2)
    return np.round(colors + (target - colors) * amount).astype(np.uint8)


def class_color(class_id: int) -> tuple[int, int, int]:
    """Returns the RGB color of a class. A negative id (ignored region) has the color of class `abs(id)`."""
    index = max(abs(int(class_id)) - 1, 0)
    return tuple(int(v) for v in distinct_colors(index + 1)[-1])


def text_color(background: tuple[int, int, int] | np.ndarray) -> tuple[int, int, int]:
    """Returns black or white, whichever has the higher contrast (WCAG 2) to an RGB color in 0..255."""
    srgb = np.asarray(background, dtype=np.float64) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    # White is better if (1 + .05) / (L + .05) > (L + .05) / .05.
    return (255, 255, 255) if (luminance + 0.05) ** 2 < 1.05 * 0.05 else (0, 0, 0)
