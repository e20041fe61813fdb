"""Kills the driver and an actor of a run, resumes the run and checks the output.

2% of the URLs are faulty: missing, truncated, hanging, not an image, or a decompression bomb. One image kills its
worker.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import random
import resource
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from nike.cataloguing import pipeline, results, run
from nike.cataloguing.benchmark.parts import load_waiting_detector, start_server, write_benchmark_plan
from nike.cataloguing.images import Limits
from nike.cataloguing.plan import Plan, open_plan

FAULTS = ("missing", "cut", "hang", "noise", "bomb")
FAULT_RATE = 0.02  # fraction of faulty URLs
DETECTION_SECONDS = 0.01  # per image
MEGABYTE = 1 << 20


def _run_driver(output: Path, detect: float, peak: Any) -> None:
    """Entry point of the driver process, which `measure_kills` starts and kills."""
    limits = Limits(threads=8, attempts=2, seconds=2, allow_private=True)
    load = functools.partial(load_waiting_detector, detect)
    show = functools.partial(print, flush=True)
    report = run.process_all(output, open_plan(output), load, limits, pipeline.Pool(2, 1), show)
    peak.send(report.summary())


def _find_actors() -> list[int]:
    """Returns the process ids of Ray's actors."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ray::" in path.read_bytes() and b"MapWorker" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


class MemoryRecorder(threading.Thread):
    """Records the resident memory of a process and of the largest actor in MiB, once per second."""

    def __init__(self, driver: int):
        super().__init__(daemon=True)
        self.driver, self.samples = driver, []
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(1):
            largest_actor = max(map(_resident_megabytes, _find_actors()), default=0)
            self.samples.append([_resident_megabytes(self.driver), largest_actor])


def _resident_megabytes(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * resource.getpagesize() / MEGABYTE


def measure_kills(images: int, folder: Path, seed: int = 0) -> None:
    """Kills the driver, an actor and the driver again at random times, and then checks the output."""
    rng = random.Random(seed)
    kinds = [rng.choice(FAULTS) if rng.random() < FAULT_RATE else "ok" for _ in range(images)]
    kinds[images // 3] = "crash"
    server, url = start_server(0.02)
    output = folder / "kills"
    plan = write_benchmark_plan(output, kinds, url, max(10, min(200, images // 40)))
    start, memory, summary = time.monotonic(), [], {}
    for victims in (("driver",), ("actor", "driver"), ()):
        receiver, sender = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        driver = context.Process(target=_run_driver, args=(output, DETECTION_SECONDS, sender))
        driver.start()
        recorder = MemoryRecorder(driver.pid)
        recorder.start()
        for victim in victims:
            _wait_for_shards(output, plan, rng.randint(2, max(3, plan.shards // 5)), driver)
            time.sleep(rng.random() * 2)
            os.kill(driver.pid if victim == "driver" else rng.choice(_find_actors()), signal.SIGKILL)
            print(f"killed: {victim}, at {_count_done(output, plan)} of {plan.shards} shards", flush=True)
        if not victims:
            summary = receiver.recv()
        driver.join()
        recorder.stop.set()
        memory += recorder.samples
    server.terminate()
    _check_output(output, kinds)
    _print_memory(memory)
    seconds_per_image = summary["detect_seconds"] / summary["images"]
    total = time.monotonic() - start
    print(f"{total:.0f} s in total; detection {seconds_per_image:.4f} s per image; {os.cpu_count()} cores")


def _count_done(output: Path, plan: Plan) -> int:
    return sum(results.shard_path(output, shard).is_file() for shard in range(plan.shards))


def _wait_for_shards(output: Path, plan: Plan, more: int, driver: Any) -> None:
    """Waits until the driver has committed `more` shards. Raises RuntimeError if it ends earlier."""
    target = min(plan.shards - 1, _count_done(output, plan) + more)
    while _count_done(output, plan) < target:
        if not driver.is_alive():
            raise RuntimeError(
                f"the driver ended with exit code {driver.exitcode} at {_count_done(output, plan)} shards."
            )
        time.sleep(0.2)


def _print_memory(memory: list[list[float]]) -> None:
    for name, column in zip(("driver", "largest actor"), np.array(memory).T, strict=True):
        quarters = [f"{part.max():.0f}" for part in np.array_split(column[column > 0], 4)]
        print(f"peak memory of the {name} in each quarter of the run: {', '.join(quarters)} MB")


def _check_output(output: Path, kinds: list[str]) -> None:
    """Checks that the output contains each id exactly once, with the status expected for its kind.

    Raises:
        AssertionError: if it does not.
    """
    table = pq.read_table(output / results.FOLDER, columns=["id", "status"]).to_pylist()
    counts = Counter(row["id"] for row in table)
    assert counts == Counter(f"image-{i}" for i in range(len(kinds))), "ids are missing or duplicated"
    expected = {"ok": "ok", "missing": "missing", "cut": "network", "hang": "timeout", "crash": "crashed"}
    pairs = Counter((kinds[int(row["id"].removeprefix("image-"))], row["status"]) for row in table)
    wrong = {pair: n for pair, n in pairs.items() if pair[1] != expected.get(pair[0], "undecodable")}
    print(f"{len(table):,} rows, each id once; {json.dumps({' '.join(k): n for k, n in pairs.items()})}")
    assert not wrong, wrong
