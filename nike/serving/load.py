"""Load test of a running server: `python -m nike.serving.load photos/*.jpg --clients 50 --seconds 120`.

Every client sends one image after another. The report has answers by status, images per second, latency, and, for a
process id, the memory and processor time of the server. The clients need only the standard library.
"""

from __future__ import annotations

import argparse
import http.client
import os
import statistics
import sys
import threading
import time
import urllib.parse
from collections import Counter
from pathlib import Path


class Load:
    """Clients that send images until a deadline.

    Args:
        url: URL of the server.
        images: contents of image files, sent in turn.
        seconds: duration of the test.
        token: token of the server, or "".
    """

    def __init__(self, url: str, images: list[bytes], seconds: float, token: str = ""):
        self._address = urllib.parse.urlsplit(url)
        self._images, self._seconds = images, seconds
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.statuses: Counter[str] = Counter()
        self.latencies: list[float] = []  # seconds, of answers with status 200
        self.seconds = 0.0

    def run(self, clients: int) -> None:
        """Runs the test with a number of concurrent clients."""
        start = time.perf_counter()
        threads = [threading.Thread(target=self._send, args=(i, start + self._seconds)) for i in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.seconds = time.perf_counter() - start

    def _send(self, number: int, deadline: float) -> None:
        connection = None
        while (start := time.perf_counter()) < deadline:
            number += 1
            try:
                connection = connection or http.client.HTTPConnection(self._address.netloc, timeout=300)
                connection.request("POST", "/v1/detect", self._images[number % len(self._images)], self._headers)
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                self.statuses[type(error).__name__] += 1
                connection = None
                time.sleep(0.1)
                continue
            self.statuses[str(response.status)] += 1
            if response.status == 200:
                self.latencies.append(time.perf_counter() - start)
            elif response.status == 503:
                time.sleep(float(response.headers.get("Retry-After", 1)))

    def report(self) -> str:
        """Returns the lines of the report: statuses, rate and latency."""
        counts = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.statuses.items()))
        lines = [f"answers   {counts}"]
        if len(self.latencies) > 1:
            p50, p99 = (statistics.quantiles(self.latencies, n=100)[i] for i in (49, 98))
            lines.append(f"rate      {len(self.latencies) / self.seconds:.2f} images/s")
            lines.append(f"latency   p50 {p50:.2f} s, p99 {p99:.2f} s")
        return "\n".join(lines)


def resident_megabytes(pid: int) -> float:
    """Returns the resident memory of a process in megabytes (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor_seconds(pid: int) -> float:
    """Returns the processor time of a process on all cores in seconds (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # the name may contain any character
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(argv: list[str] | None = None) -> int:
    """Entry point; the exit code is 1 if there was an answer other than 200 and 503."""
    parser = argparse.ArgumentParser(
        prog="python -m nike.serving.load", description="Load test of a running nike serve"
    )
    parser.add_argument("images", nargs="+", type=Path, help="image files")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="of the server (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=50, metavar="N", help="at once (default: 50)")
    parser.add_argument("--seconds", type=float, default=120, metavar="S", help="time of the test (default: 120)")
    parser.add_argument("--pid", type=int, metavar="N", help="process id of the server, to report what it uses")
    arguments = parser.parse_args(argv)
    images = [path.read_bytes() for path in arguments.images]
    load = Load(arguments.url, images, arguments.seconds, os.environ.get("NIKE_TOKEN", ""))
    if arguments.pid is None:
        load.run(arguments.clients)
        print(load.report())
    else:
        memory, before = [resident_megabytes(arguments.pid)], processor_seconds(arguments.pid)
        thread = threading.Thread(target=load.run, args=(arguments.clients,))
        thread.start()
        while thread.is_alive():
            thread.join(max(0.1, arguments.seconds / 10))
            memory.append(resident_megabytes(arguments.pid))
        print(load.report())
        used = (processor_seconds(arguments.pid) - before) / max(1, len(load.latencies))
        print(f"processor {1000 * used:.0f} ms an image")
        print("memory    " + " ".join(f"{value:.0f}" for value in memory) + " MB")
    return 0 if set(load.statuses) <= {"200", "503"} and load.latencies else 1


if __name__ == "__main__":
    sys.exit(main())
