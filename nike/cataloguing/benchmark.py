"""Measures the pipeline against a local web server, with a detector that only waits.

    python -m nike.cataloguing.benchmark rates                   throughput, beside what the simulation predicts
    python -m nike.cataloguing.benchmark kills --images 20000    kills driver and actor, resumes, checks the output
    python -m nike.cataloguing.benchmark plan --images 10000000  time, memory and disk of planning
    python -m nike.cataloguing.benchmark stages                  CPU seconds of an image in each stage
    python -m nike.cataloguing.benchmark sizing                  machines for 10^6 to 10^8 images a day, simulated

The images are the sample data at half size. 2% of the addresses are faulty in `kills`: missing, cut off, hanging, not
an image, a decompression bomb; one image kills its worker. The waiting detector stands for a network on a GPU: it takes
a fixed time and no core, so that cores are left for what is measured.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import io
import json
import multiprocessing
import os
import random
import resource
import signal
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq

from mrcnn.data.reading import read_image
from mrcnn.detections import Detections
from nike.cataloguing import pipeline, results, run
from nike.cataloguing.images import Limits, Reader, decode
from nike.cataloguing.plan import Plan, write_plan
from nike.cataloguing.rows import SCHEMA
from nike.cataloguing.simulation import Costs, Layout, simulate
from nike.datasets import photos

SAMPLES = Path(__file__).parents[1] / "sample_data"
FAULTS = ("missing", "cut", "hang", "noise", "bomb")
FAULTY = 0.02
DEADLY_HEIGHT = 13  # pixels of the image that kills its worker
DETECT = 0.01  # seconds of an image in `kills`
MEGABYTE = 1 << 20


class Waits:
    """A detector that waits and finds a box that depends on the image."""

    class_names = ("BG", "nike")

    def __init__(self, seconds: float):
        self.seconds = seconds

    def detect(self, images: Iterable[np.ndarray]) -> Iterator[Detections]:
        for image in images:
            if image.shape[0] == DEADLY_HEIGHT:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(self.seconds)
            size = 1 + int(image[0, 0].sum()) % 20
            yield Detections([[0, 0, size, size]], [1], [0.9], [np.ones((size, size), bool)], image.shape)


def _load(seconds: float, cpus: int) -> Waits:
    return Waits(seconds)


def _jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _bomb() -> bytes:
    """A PNG of a few hundred kilobytes with 400 million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    side = 20_000
    header = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    pixels = zlib.compress(bytes(side * (side + 1)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _serve(port: Any, latency: float) -> None:
    """A web server: `/ok/7`, `/missing/7` and so on. Sends its port through a pipe."""
    samples = [_jpeg(read_image(path)[::2, ::2]) for path in photos.find_files(SAMPLES)]
    deadly, bomb = _jpeg(np.zeros((DEADLY_HEIGHT, 40, 3), np.uint8)), _bomb()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, _, number = self.path[1:].partition("/")
            time.sleep(60 if kind == "hang" else latency)
            data = {"bomb": bomb, "deadly": deadly}.get(kind, samples[int(number) % len(samples)])
            self.send_response(404 if kind == "missing" else 200)
            self.send_header("Content-Length", str(len(data) + (5 if kind == "cut" else 0)))
            self.end_headers()
            self.wfile.write(bytes(len(data)) if kind == "noise" else data)

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size, daemon_threads = 256, True

        def handle_error(self, *arguments: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        port.send(server.server_port)
        server.serve_forever()


def _start_server(latency: float) -> tuple[Any, str]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, latency), daemon=True)
    process.start()
    return process, f"http://127.0.0.1:{ours.recv()}"


def _plan(output: Path, kinds: list[str], url: str, shard_size: int) -> Plan:
    urls = [f"{url}/{kind}/{i}" for i, kind in enumerate(kinds)]
    columns = [[f"image-{i}" for i in range(len(kinds))], urls, *[[None] * len(kinds)] * 2]
    return write_plan(output, [pa.table(columns, schema=SCHEMA)], shard_size, {"model": "waits"})


LAYOUTS = (  # actors, downloads, latency of the server and time of the detector in seconds
    (1, 1, 0.02, 0.05),
    (1, 8, 0.02, 0.05),
    (2, 8, 0.02, 0.05),
    (2, 4, 0.2, 0.02),
    (1, 2, 0.2, 0.02),
)


def measure_rates(images: int, folder: Path) -> None:
    """Runs with several layouts; prints images per second as measured and as predicted.

    A prediction is made from the costs of the same run, and another from those of the first run. Of the other runs only
    the latency of the server and the time of the detector are known beforehand.
    """
    overheads: Costs | None = None
    for actors, threads, latency, detect in LAYOUTS:
        layout = Layout(actors, os.cpu_count() or 1, threads, 1, max(1, images // 8))
        measured, costs, own = _measure_layout(images, folder, layout, latency, detect)
        overheads = overheads or Costs(costs.read - latency, costs.decode, costs.detect - detect, 0)
        known = Costs(overheads.read + latency, overheads.decode, overheads.detect + detect, 0)
        predicted = [simulate(each, layout, images).images_per_second for each in (costs, known)]
        print(
            f"actors {actors}, downloads {threads}, latency {latency:.2f} s, detector {detect:.2f} s: {measured:.2f} "
            f"images/s; simulated {predicted[0]:.2f} ({predicted[0] / measured - 1:+.0%}), from the first run's costs "
            f"{predicted[1]:.2f} ({predicted[1] / measured - 1:+.0%}); detectors busy {own:.0%}; read "
            f"{costs.read:.3f}, decode {costs.decode:.3f}, detect {costs.detect:.3f} s, {costs.bytes / 1000:.0f} kB",
            flush=True,
        )


def _measure_layout(
    images: int, folder: Path, layout: Layout, latency: float, detect: float
) -> tuple[float, Costs, float]:
    """Images per second, costs, and the fraction of the time that the detectors work."""
    server, url = _start_server(latency)
    output = Path(tempfile.mkdtemp(dir=folder))
    plan = _plan(output, ["ok"] * images, url, layout.shard_size)
    limits = Limits(layout.threads, layout.threads, allow_private=True)
    make = functools.partial(run.make_processor, output, functools.partial(_load, detect), limits, 1)
    pipeline.start_ray(None)
    try:
        done, ends = [], []
        for statistics in pipeline.process_shards(range(plan.shards), make, pipeline.Pool(layout.actors, 1)):
            done.append(statistics)
            ends.append(time.monotonic())
    finally:
        pipeline.stop_ray()
        server.terminate()
    seconds = ends[-1] - ends[0] + done[0]["seconds"]  # without the start of the actors
    busy = sum(each["detect_seconds"] for each in done) / (seconds * layout.actors)
    return images / seconds, Costs.measured(done, 0), busy


def _drive(output: Path, detect: float, peak: Any) -> None:
    """A driver, in its own process so that it can be killed."""
    from nike.cataloguing.plan import open_plan

    limits = Limits(threads=8, attempts=2, seconds=2, allow_private=True)
    load = functools.partial(_load, detect)
    show = functools.partial(print, flush=True)
    report = run.process_all(output, open_plan(output), load, limits, pipeline.Pool(2, 1), show)
    peak.send(report.summary())


def _workers() -> list[int]:
    """Processes of Ray's actors."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ray::" in path.read_bytes() and b"MapWorker" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


class Memory(threading.Thread):
    """Records the resident memory of a process and of the actors, in MB, once a second."""

    def __init__(self, driver: int):
        super().__init__(daemon=True)
        self.driver, self.samples = driver, []
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(1):
            self.samples.append([_resident(self.driver), max(map(_resident, _workers()), default=0)])


def _resident(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * resource.getpagesize() / MEGABYTE


def measure_kills(images: int, folder: Path, seed: int = 0) -> None:
    """Kills the driver, an actor and the driver again at random moments; then checks the output."""
    chance = random.Random(seed)
    kinds = [chance.choice(FAULTS) if chance.random() < FAULTY else "ok" for _ in range(images)]
    kinds[images // 3] = "deadly"
    server, url = _start_server(0.02)
    output = folder / "kills"
    plan = _plan(output, kinds, url, max(10, min(200, images // 40)))
    start, memory, summary = time.monotonic(), [], {}
    for victims in (("driver",), ("actor", "driver"), ()):
        ours, theirs = multiprocessing.Pipe()
        driver = multiprocessing.get_context("spawn").Process(target=_drive, args=(output, DETECT, theirs))
        driver.start()
        watch = Memory(driver.pid)
        watch.start()
        for victim in victims:
            _wait_for_shards(output, plan, chance.randint(2, max(3, plan.shards // 5)))
            time.sleep(chance.random() * 2)
            os.kill(driver.pid if victim == "driver" else chance.choice(_workers()), signal.SIGKILL)
            print(f"killed: {victim}, at {_done(output, plan)} of {plan.shards} shards", flush=True)
        if not victims:
            summary = ours.recv()
        driver.join()
        watch.stop.set()
        memory += watch.samples
    server.terminate()
    _check(output, kinds)
    _describe_memory(memory)
    own = summary["detect_seconds"] / summary["images"]
    print(f"{time.monotonic() - start:.0f} s in all; detection {own:.4f} s an image; {os.cpu_count()} cores")


def _done(output: Path, plan: Plan) -> int:
    return sum(results.shard_path(output, shard).is_file() for shard in range(plan.shards))


def _wait_for_shards(output: Path, plan: Plan, more: int) -> None:
    target = min(plan.shards - 1, _done(output, plan) + more)
    while _done(output, plan) < target:
        time.sleep(0.2)


def _describe_memory(memory: list[list[float]]) -> None:
    for name, column in zip(("driver", "largest actor"), np.array(memory).T, strict=True):
        quarters = [f"{part.max():.0f}" for part in np.array_split(column[column > 0], 4)]
        print(f"memory of the {name}: at most {', '.join(quarters)} MB in the quarters of the run")


def _check(output: Path, kinds: list[str]) -> None:
    """Raises AssertionError unless every id is in the output once, with the status that its kind implies."""
    table = pq.read_table(output / results.FOLDER, columns=["id", "status"]).to_pylist()
    counts = Counter(row["id"] for row in table)
    assert counts == Counter(f"image-{i}" for i in range(len(kinds))), "ids are lost or doubled"
    expected = {"ok": "ok", "missing": "missing", "cut": "network", "hang": "timeout", "deadly": "crashed"}
    pairs = Counter((kinds[int(row["id"].removeprefix("image-"))], row["status"]) for row in table)
    wrong = {pair: n for pair, n in pairs.items() if pair[1] != expected.get(pair[0], "undecodable")}
    print(f"{len(table):,} rows, each id once; {json.dumps({' '.join(k): n for k, n in pairs.items()})}")
    assert not wrong, wrong


def measure_plan(images: int, folder: Path) -> None:
    """Plans synthetic rows; prints rows per second, peak memory and disk."""
    size = 1 << 15

    def tables() -> Iterator[pa.Table]:
        for start in range(0, images, size):
            numbers = range(start, min(start + size, images))
            ids = [f"{i * 2654435761 % 2**64:016x}-{i}" for i in numbers]
            urls = [f"https://images.example.com/products/{i:09d}/front.jpg" for i in numbers]
            yield pa.table([ids, urls, pa.nulls(len(ids), pa.int64()), pa.nulls(len(ids), pa.int64())], schema=SCHEMA)

    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.process_time()
    for _ in tables():
        pass
    middle = time.process_time()
    plan = write_plan(folder / "plan", tables(), 500, {})
    seconds = (time.process_time() - middle) - (middle - start)
    disk = sum(path.stat().st_size for path in plan.folder.iterdir())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{images:,} rows: {images / seconds:,.0f} rows per CPU second, memory {before:.0f} to {peak:.0f} MB at most, "
        f"{disk / 1e6:,.0f} MB on disk, {plan.shards:,} shards"
    )


def measure_stages(images: int, folder: Path) -> None:
    """Prints CPU seconds of an image, which a busy machine changes less than the time on the clock."""
    paths = list(photos.find_files(SAMPLES))
    server, url = _start_server(0.0)
    reader = Reader(Limits(allow_private=True))
    rows = [{"id": str(i), "location": f"{url}/ok/{i}", "offset": None, "size": None} for i in range(images)]
    start = time.process_time()
    read = [reader.read(numbered) for numbered in enumerate(rows)]
    print(f"read over HTTP {_per_image(start, images)}, {read[0].bytes / 1000:.0f} kB")
    server.terminate()
    read = [reader.read((i, {**rows[i], "location": str(paths[i % len(paths)])})) for i in range(images)]
    start = time.process_time()
    pixels = [decode(image).pixels.shape for image in read]
    print(f"decode {_per_image(start, images)}, {np.mean([h * w for h, w, _ in pixels]) / 1e6:.2f} megapixels")
    mask = np.zeros((100, 150), bool)
    mask[20:80, 10:140] = True
    result = Detections([[300, 200, 400, 350]], [1], [0.9], [mask], pixels[0])
    start = time.process_time()
    for row in rows:
        row.update(detections=results.detection_rows(result, Waits.class_names), status="ok", width=1, height=1)
    print(f"encode a mask {_per_image(start, images)}")
    start = time.process_time()
    results.commit(folder, 0, rows, {})
    size = results.shard_path(folder, 0).stat().st_size
    print(f"commit {_per_image(start, images)}, {size / images:.0f} bytes of Parquet")


def _per_image(start: float, images: int) -> str:
    return f"{(time.process_time() - start) / images * 1000:.2f} ms of CPU"


# Of an image of 2 megapixels and 300 kB from a server with 0.2 s of latency; commits as measured.
ON_CPU = Costs(read=0.2, decode=0.022, detect=0.075, detect_cores=4, bytes=3e5, shard=0.5)  # 0.3 core seconds
ON_GPU = Costs(read=0.2, decode=0.022, detect=0.01, detect_cores=0, bytes=3e5, shard=0.5)  # 100 images/s, assumed
MACHINES = (
    ("32 cores, 8 actors", ON_CPU, Layout(8, 32, 16, 4)),
    ("8 cores, 1 GPU", ON_GPU, Layout(1, 8, 16, 8)),
    ("the same, 64 downloads", ON_GPU, Layout(1, 8, 64, 8)),
    ("the same, shards of 5,000", ON_GPU, Layout(1, 8, 64, 8, 5000)),
)


def size_machines(images: int, folder: Path) -> None:
    """Prints the simulated rate of machines and how many of them a number of images a day needs."""
    for name, costs, layout in MACHINES:
        found = simulate(costs, layout, layout.actors * layout.shard_size * 4)
        busiest = max(found.utilisation, key=lambda stage: found.utilisation[stage])
        print(f"{name}: {found.images_per_second:.0f} images/s, {busiest} {found.utilisation[busiest]:.0%} busy")
        for daily in (1e6, 1e7, 1e8):
            rate = daily / 86_400
            print(
                f"  {daily:.0e} a day: {rate / found.images_per_second:.2f} machines, "
                f"{rate * costs.bytes * 8 / 1e9:.2f} Gbit/s"
            )


MEASURES = {
    "rates": measure_rates,
    "kills": measure_kills,
    "plan": measure_plan,
    "stages": measure_stages,
    "sizing": size_machines,
}


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=MEASURES)
    parser.add_argument("--images", type=int, default=400)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="catalogue") as folder:
        MEASURES[arguments.what](arguments.images, Path(folder))


if __name__ == "__main__":
    # Workers import functions by the name of their module, which is `__main__` here.
    from nike.cataloguing import benchmark

    benchmark.main()
