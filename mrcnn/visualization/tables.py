"""Tables, as HTML in a notebook and as text in a terminal, and weight statistics."""

import html
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np


def display_table(table: Sequence[Sequence[Any]]) -> None:
    """Displays a table.

    Args:
        table: list of rows. Each cell is converted with `str()`; markup is escaped.

    Source: Matterport.
    Differs from Matterport: text is printed outside notebooks, and cells contain text instead of HTML.
    """
    if _in_notebook():
        from IPython.display import HTML, display

        display(HTML(html_table(table)))
    else:
        print(text_table(table))


def _in_notebook() -> bool:
    """Returns whether the code runs in a Jupyter kernel, without importing IPython."""
    ipython = sys.modules.get("IPython")
    return hasattr(ipython.get_ipython() if ipython else None, "kernel")


def html_table(table: Sequence[Sequence[Any]]) -> str:
    """Formats rows as an HTML table."""
    rows = ("".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) for row in table)
    return "<table>" + "".join(f"<tr>{cells}</tr>" for cells in rows) + "</table>"


def text_table(table: Sequence[Sequence[Any]]) -> str:
    """Formats rows as text with aligned columns."""
    rows = [[str(cell) for cell in row] for row in table]
    count = max((len(row) for row in rows), default=0)
    widths = [max((len(row[i]) for row in rows if i < len(row)), default=0) for i in range(count)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def display_weight_stats(model: Any) -> None:
    """Displays minimum, maximum and standard deviation of every weight of the trainable layers, with warnings.

    Args:
        model: an object with `get_trainable_layers()`, which returns Keras layers.

    Source: Matterport.
    """
    table = [["WEIGHT NAME", "SHAPE", "MIN", "MAX", "STD", ""]]
    for layer in model.get_trainable_layers():
        for variable, values in zip(layer.weights, layer.get_weights(), strict=True):
            name = f"{layer.name}/{str(variable.name).split('/')[-1].split(':')[0]}"
            numbers = [f"{f(values):+10.4f}" for f in (np.min, np.max, np.std)] if values.size else ["-"] * 3
            table.append([name, str(values.shape), *numbers, weight_warning(name, values)])
    display_table(table)


def weight_warning(name: str, values: np.ndarray) -> str:
    """Returns a warning about non-finite, very large or all-zero values of a weight, or an empty string.

    Biases, betas and moving means are initialized with zeros, so zeros do not cause a warning.
    """
    if not np.isfinite(values).all():
        return "*** not finite"
    if values.size and np.abs(values).max() > 1000:
        return "*** overflow?"
    if values.size == 0 or name.rsplit("/", 1)[-1] in ("bias", "beta", "moving_mean"):
        return ""
    if not values.any():
        return "*** dead? all zero"
    filters = values.any(axis=tuple(range(values.ndim - 1)))  # output channels are the last axis
    if values.ndim > 1 and not filters.all():
        return f"{np.count_nonzero(~filters)} of {filters.size} filters dead"
    return ""
