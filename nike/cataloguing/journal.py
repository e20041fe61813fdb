"""Detects images that crash their process, for example by a decoder error or by exhausting the memory.

The first attempt at a shard processes several images at once. If the attempt does not finish, the next attempt
processes one image at a time and records each image beforehand. An image that was recorded last in MAX_CRASHES
attempts is then skipped. A single record is not sufficient, because the process may have been killed for another
reason.

    OUTPUT/journal/shard-0000012.txt    lines "start" (of an attempt), row numbers, and "end"
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

MAX_CRASHES = 2
FOLDER = "journal"


class Journal:
    """The journal of a shard. The constructor records a new attempt.

    Args:
        output: output folder.
        shard: number of the shard.

    Attributes:
        is_careful: whether this attempt must process and record one image at a time.
        crashed: row numbers to skip.
    """

    def __init__(self, output: Path, shard: int):
        self._path = output / FOLDER / f"shard-{shard:07d}.txt"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = self._path.read_text().split() if self._path.is_file() else []
        ends = [last for last, following in zip(lines, [*lines[1:], "start"], strict=False) if following == "start"]
        crashes = Counter(int(line) for line in ends if line.isdecimal())
        self.is_careful = bool(lines)
        self.crashed = {row for row, count in crashes.items() if count >= MAX_CRASHES}
        self._append("start")

    def record_row(self, row: int) -> None:
        """Records the start of a row, which implies the end of the previous row."""
        self._append(str(row))

    def finish_rows(self) -> None:
        """Records that all rows are processed, so that a later crash is not attributed to the last one."""
        self._append("end")

    def _append(self, line: str) -> None:
        # Written data survives the end of the process. If the machine fails and the data is lost, the next attempt
        # records it again.
        with open(self._path, "a") as file:
            file.write(f"{line}\n")

    def delete(self) -> None:
        """Deletes the journal of a completed shard."""
        self._path.unlink(missing_ok=True)
