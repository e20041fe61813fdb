"""Progress bars on a terminal, and plain lines in pipes and log files."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tqdm import tqdm

from nike.formatting import printable


class ProgressBar:
    """Shows a progress bar on stderr if it is a terminal, and prints a line per step if stdout is not a terminal.

    Args:
        total: number of steps, or None if unknown.
        unit: unit of a step, such as "image".
        lines: whether lines may be printed to stdout.
    """

    def __init__(self, total: int | None, unit: str = "photo", lines: bool = True):
        self._bar = tqdm(total=total, unit=unit, leave=False, disable=not sys.stderr.isatty())
        self._lines = lines and not sys.stdout.isatty()

    def step(self, line: str) -> None:
        """Advances by one step and prints its line."""
        self._bar.update()
        if self._lines:
            print(line, flush=True)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()


def report_failures(failures: Sequence[str], heading: str) -> int:
    """Prints failures to stderr under a heading. Returns the exit code: 1 if there are failures, else 0."""
    if not failures:
        return 0
    print(heading, file=sys.stderr)
    for failure in failures:
        print(f"  {printable(failure)}", file=sys.stderr)
    return 1
