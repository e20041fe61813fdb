"""Text for people from values that nobody vouches for."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Sequence

MAX_SHORT = 120  # characters of a value in a message
_REPR = reprlib.Repr()
_REPR.maxstring = 90  # names of files are shown whole


def printable(text: object) -> str:
    """`text` with control characters and lone surrogates escaped: safe in a terminal, a log and a UTF-8 file."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))


def short(value: object) -> str:
    """A `repr` for messages: printable and of bounded length whatever the value."""
    text = printable(_REPR.repr(value))
    return text if len(text) <= MAX_SHORT else text[: MAX_SHORT - 3] + "..."


def plural(count: int, word: str) -> str:
    """For people: no errors, 1 error, 2 errors."""
    return f"{count or 'no'} {word}{'' if count == 1 else 's'}"


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table for the terminal: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        yield "  ".join([first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(others, widths[1:], strict=True))])
