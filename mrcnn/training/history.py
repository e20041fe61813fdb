"""`history.csv`: one row of metrics per epoch of a run."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from mrcnn.atomic import replacing

FILE = "history.csv"


def write_history(rows: list[dict], folder: str | Path) -> None:
    """Writes all rows to the file, so a resumed run has no duplicates. Missing metrics are left empty."""
    path = Path(folder) / FILE
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _format_value(value) for name, value in row.items()} for row in rows)
    try:
        with replacing(path) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")
    except OSError as error:
        message = f"{path}: the history could not be written ({error.strerror}). Free space, then resume."
        raise OSError(message) from None


def read_history(folder: str | Path, epochs: int) -> list[dict]:
    """Returns the rows of the first `epochs` epochs, or an empty list if there is no valid history file."""
    try:
        with open(Path(folder) / FILE, encoding="utf-8", newline="") as file:
            rows = [
                {name: float(value) for name, value in row.items() if value} | {"epoch": int(row["epoch"])}
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    return [row for row in rows if row["epoch"] <= epochs]


def _format_value(value):
    return f"{value:.6g}" if isinstance(value, float) else value
