"""Formats untrusted values, counts and tables for messages."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Sequence

from mrcnn.errors import printable

__all__ = ["align_columns", "plural", "printable", "short"]

MAX_SHORT = 120  # maximum length of a value in a message, in characters
_REPR = reprlib.Repr()
_REPR.maxstring = 90  # long enough for most file names


def short(value: object) -> str:
    """Returns a printable `repr` of at most MAX_SHORT characters."""
    text = printable(_REPR.repr(value))
    return text if len(text) <= MAX_SHORT else text[: MAX_SHORT - 3] + "..."


def plural(count: int, word: str) -> str:
    """Formats a count with its noun: "no errors", "1 error", "2 errors"."""
    return f"{count or 'no'} {word}{'' if count == 1 else 's'}"


def align_columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yields the lines of a text table with the first column left-aligned and the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        yield "  ".join([first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(others, widths[1:], strict=True))])
