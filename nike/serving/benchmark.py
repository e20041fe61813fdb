"""Load test of `nike serve`: `python -m nike.serving.benchmark --clients 50 --seconds 120`.

It measures the throughput of the detector alone, starts a server with the same options, and sends images from many
clients. Each client sends one image at a time. The report contains the number of responses by status, the throughput,
also relative to the detector alone, the latency, and the memory and processor time of the server. Other options are
passed to `nike serve`.

With --url, it tests a server that is already running and reports only statuses, throughput and latency.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import math
import os
import re
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mrcnn.errors import UserError
from nike import cli, serve
from nike.example import SAMPLE_DATA

MAX_DETECTOR_SECONDS = 20.0  # maximum time for measuring the detector alone


class LoadTest:
    """Clients that send images until a deadline.

    Args:
        url: URL of the server.
        images: contents of image files, sent in turn.
        seconds: duration of the test.
        token: token of the server, or "".
    """

    def __init__(self, url: str, images: list[bytes], seconds: float, token: str = ""):
        self._address = urllib.parse.urlsplit(url)
        self._images, self.planned_seconds = images, seconds
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.statuses: Counter[str] = Counter()
        self.latencies: list[float] = []  # of responses with status 200, in seconds
        self.seconds = 0.0

    def run(self, clients: int) -> None:
        """Runs the test with a number of concurrent clients."""
        start = time.perf_counter()
        deadline = start + self.planned_seconds
        # Daemon threads do not keep an interrupted process alive.
        threads = [threading.Thread(target=self._send, args=(i, deadline), daemon=True) for i in range(clients)]
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

    @property
    def rate(self) -> float:
        """Successful responses per second."""
        return len(self.latencies) / self.seconds

    def report(self) -> str:
        """Returns the lines of the report: statuses, throughput and latency."""
        counts = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.statuses.items()))
        lines = [f"responses {counts}"]
        if len(self.latencies) > 1:
            p50, p99 = (statistics.quantiles(self.latencies, n=100)[i] for i in (49, 98))
            lines.append(f"rate      {self.rate:.2f} images/s")
            lines.append(f"latency   p50 {p50:.2f} s, p99 {p99:.2f} s")
        return "\n".join(lines)


def resident_megabytes(pid: int) -> float:
    """Returns the resident memory of a process in megabytes (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor_seconds(pid: int) -> float:
    """Returns the processor time of a process on all cores in seconds (Linux)."""
    # The name of the process, in parentheses, may contain any character.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_detector_rate(options: list[str], images: list[bytes], seconds: float) -> float:
    """Returns the throughput of the detector alone, including decoding, in images per second."""
    from nike.serving.images import decode_image

    detector, _ = serve.load(cli.parser("serve", serve.add_arguments).parse_args(options))
    count, start = 0, time.perf_counter()

    def decoded() -> Iterator:
        for data in itertools.cycle(images):
            if time.perf_counter() - start > seconds:
                return
            yield decode_image(data, serve.Limits().pixels)

    for _ in detector.detect(decoded()):
        count += 1
    return count / (time.perf_counter() - start)


@contextmanager
def running_server(options: list[str]) -> Iterator[tuple[str, int]]:
    """Starts `nike serve` in a process and stops it with SIGTERM. Yields its URL and process id.

    Raises:
        UserError: if the server does not start.
        RuntimeError: if the exit code of the server is not 0.
    """
    command = [sys.executable, "-m", "nike", "serve", *options, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            found, last = None, "no message"
            while found is None and (line := process.stderr.readline()):
                found, last = re.search(r"running on (http://\S+)", line), line.strip() or last
            if found is None:
                raise UserError(f"{' '.join(command)}: the server did not start: {last}")
            yield found[1], process.pid
        finally:
            process.terminate()
            process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}.")


def run_monitored(load: LoadTest, clients: int, pid: int) -> list[str]:
    """Runs a test and returns report lines with the processor time and the memory of the server."""
    memory, before = [resident_megabytes(pid)], processor_seconds(pid)
    thread = threading.Thread(target=load.run, args=(clients,), daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(max(0.1, load.planned_seconds / 10))
        memory.append(resident_megabytes(pid))
    used = (processor_seconds(pid) - before) / max(1, len(load.latencies))
    return [f"processor {1000 * used:.0f} ms per image", "memory    " + " ".join(f"{m:.0f}" for m in memory) + " MB"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command. Unknown options are passed to `nike serve`."""
    parser.description, parser.allow_abbrev = __doc__, False
    parser.add_argument("--images", nargs="+", type=Path, help="image files (default: the sample images)")
    parser.add_argument("--url", help="URL of a running server (default: start one)")
    parser.add_argument(
        "--clients", type=int, default=50, metavar="N", help="number of concurrent clients (default: 50)"
    )
    parser.add_argument(
        "--seconds", type=float, default=120, metavar="S", help="duration of the test in seconds (default: 120)"
    )


def run_test(argv: list[str] | None) -> int:
    """Runs the test. Returns 0 if all responses have status 200 or 503 and at least one has 200, else 1."""
    parser = cli.parser("nike.serving.benchmark", add_arguments)
    arguments, options = parser.parse_known_args(argv)
    if arguments.clients < 1 or not 0 < arguments.seconds < math.inf:
        raise UserError(f"expected --clients and --seconds above 0, got {arguments.clients} and {arguments.seconds:g}.")
    if arguments.url and not re.match("http://[^/]", arguments.url):
        raise UserError(f"--url: expected http://HOST:PORT, got {arguments.url}.")
    if arguments.url and options:
        raise UserError(f"--url: the options of a running server cannot be chosen ({' '.join(options)}).")
    paths = arguments.images or sorted(SAMPLE_DATA.glob("val/*.jpg"))
    images, token = [path.read_bytes() for path in paths], os.environ.get("NIKE_TOKEN", "")
    if arguments.url:
        load = LoadTest(arguments.url, images, arguments.seconds, token)
        load.run(arguments.clients)
        print(load.report())
    else:
        alone = measure_detector_rate(options, images, min(arguments.seconds, MAX_DETECTOR_SECONDS))
        with running_server(options) as (url, pid):
            load = LoadTest(url, images, arguments.seconds, token)
            lines = run_monitored(load, arguments.clients, pid)
        print(load.report())
        print(f"detector  {alone:.2f} images/s alone; the server reaches {load.rate / alone:.0%} of this rate")
        print("\n".join(lines))
    return 0 if set(load.statuses) <= {"200", "503"} and load.latencies else 1


def main(argv: list[str] | None = None) -> int:
    """Entry point of `python -m nike.serving.benchmark`. For the exit codes see `run_test` and `nike.cli.run`."""
    return cli.run(lambda: run_test(argv), argv)


if __name__ == "__main__":
    sys.exit(main())
