"""Finds images that kill the process that works on them, such as by a crash of a decoder or by exhausting the memory.

The first attempt at a shard works on several images at once. If it does not end, the next one works on one image at a
time and notes each before it starts. An image that is noted last by STRIKES attempts is skipped from then on. One
strike is not enough: the process may have been killed from outside.

    OUTPUT/journal/shard-0000012.txt    a line "start" for each attempt, the number of a row, "end"
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

STRIKES = 2
FOLDER = "journal"


class Journal:
    """The attempts at a shard; making one begins an attempt.

    Args:
        output: the output folder.
        shard: its number.

    Attributes:
        is_careful: whether this attempt must work on one image at a time and note each.
        crashed: rows to skip.
    """

    def __init__(self, output: Path, shard: int):
        self._path = output / FOLDER / f"shard-{shard:07d}.txt"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = self._path.read_text().split() if self._path.is_file() else []
        ends = [last for last, following in zip(lines, [*lines[1:], "start"], strict=False) if following == "start"]
        strikes = Counter(int(line) for line in ends if line.isdecimal())
        self.is_careful = bool(lines)
        self.crashed = {row for row, count in strikes.items() if count >= STRIKES}
        self._append("start")

    def note(self, row: int) -> None:
        """Work on a row of the shard begins; that on the one before has ended."""
        self._append(str(row))

    def finish_rows(self) -> None:
        """All rows are done; what follows is no fault of the last one."""
        self._append("end")

    def _append(self, line: str) -> None:
        # The operating system keeps what was written when the process is killed. Only a failure of the machine loses
        # it, and then the next attempt repeats what this one has learned.
        with open(self._path, "a") as file:
            file.write(f"{line}\n")

    def delete(self) -> None:
        """The shard is done."""
        self._path.unlink(missing_ok=True)
