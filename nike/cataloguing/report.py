"""Progress and totals of a run: throughput, remaining time and failures by reason."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from nike.formatting import plural

INTERVAL = 10.0  # seconds between two lines


class Report:
    """Sums the statistics of shards and prints the progress periodically.

    Args:
        rows: number of rows of the run.
        show: function that prints a line.
        clock: function that returns the time in seconds.
    """

    def __init__(self, rows: int, show: Callable[[str], None], clock: Callable[[], float] = time.monotonic):
        self.rows, self._show, self._clock = rows, show, clock
        self.status: Counter[str] = Counter()
        self.totals: Counter[str] = Counter()
        self._new = 0  # images of this session
        self._start = self._shown = clock()

    def add(self, statistics: Mapping[str, Any], is_new: bool = True) -> None:
        """Adds a shard. `is_new` is False for a shard of an earlier session."""
        self.status.update(statistics["status"])
        self.totals.update({key: value for key, value in statistics.items() if key not in ("status", "shard")})
        if is_new:
            self._new += statistics["rows"]
            if self._clock() - self._shown >= INTERVAL:
                self._shown = self._clock()
                self._show(self.line())

    def line(self) -> str:
        """Returns the progress: `12,000 of 20,000 images (60%), 31.2 images/s, 4 min left; failed: 3 timeout`."""
        done, rate = self.status.total(), self._new / max(1e-9, self._clock() - self._start)
        left = f", {format_duration((self.rows - done) / rate)} left" if rate and done < self.rows else ""
        failures = f"; failed: {self.failures()}" if self.failures() else ""
        return f"{done:,} of {self.rows:,} images ({done / self.rows:.0%}), {rate:.1f} images/s{left}{failures}"

    def failures(self) -> str:
        """Returns the failures, most frequent first (`12 missing, 3 timeout`), or an empty string."""
        return ", ".join(f"{count:,} {reason}" for reason, count in self.status.most_common() if reason != "ok")

    def summary(self) -> dict[str, Any]:
        """Returns the totals as JSON values."""
        return {"images": self.status.total(), "status": dict(self.status.most_common()), **self.totals}

    def final_line(self) -> str:
        """Returns a line with the numbers of detections and failures."""
        failed = self.status.total() - self.status["ok"]
        found = f"{plural(self.totals['detections'], 'detection')} on {self.status['ok']:,} images"
        return found + (f"; {failed:,} failed: {self.failures()}" if failed else "")


def format_duration(seconds: float) -> str:
    """Formats a duration: `45 s`, `12 min`, `3.5 h`, `12 days`."""
    for size, unit, digits in ((86400 * 2, "days", 1), (5400, "h", 1), (100, "min", 0)):
        if seconds >= size:
            return f"{seconds / {'days': 86400, 'h': 3600, 'min': 60}[unit]:.{digits}f} {unit}"
    return f"{seconds:.0f} s"
