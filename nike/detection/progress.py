"""Progress of long work: a bar on a terminal, plain lines in a pipe or a log."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tqdm import tqdm

from nike.text import printable


class Progress:
    """A bar on stderr if that is a terminal; a line for each step on stdout if that is none.

    Args:
        total: steps, if known.
        unit: of a step.
        lines: False: no lines, because stdout has another use.
    """

    def __init__(self, total: int | None, unit: str = "photo", lines: bool = True):
        self._bar = tqdm(total=total, unit=unit, leave=False, disable=not sys.stderr.isatty())
        self._lines = lines and not sys.stdout.isatty()

    def step(self, line: str) -> None:
        """One step more, and what to say of it."""
        self._bar.update()
        if self._lines:
            print(line, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()


def report_failures(failures: Sequence[str], heading: str) -> int:
    """Lists on stderr what could not be used; returns the exit code: 1 if there was anything, else 0."""
    if not failures:
        return 0
    print(heading, file=sys.stderr)
    for failure in failures:
        print(f"  {printable(failure)}", file=sys.stderr)
    return 1
