"""Measures the cost of planning and the CPU time per image in each stage."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from mrcnn.detections import Detections
from nike.cataloguing import results
from nike.cataloguing.benchmark.parts import SAMPLES, WaitingDetector, start_server
from nike.cataloguing.images import Limits, Reader, decode
from nike.cataloguing.plan import write_plan
from nike.cataloguing.rows import SCHEMA
from nike.datasets import photos


def measure_plan(images: int, folder: Path) -> None:
    """Plans synthetic rows and prints rows per CPU second, peak memory and disk space."""
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
        f"{images:,} rows: {images / seconds:,.0f} rows per CPU second, memory {before:.0f} MB, at peak {peak:.0f} MB, "
        f"{disk / 1e6:,.0f} MB on disk, {plan.shards:,} shards"
    )


def measure_stages(images: int, folder: Path) -> None:
    """Prints the CPU time per image, which varies less than wall-clock time on a busy machine."""
    paths = list(photos.find_files(SAMPLES))
    server, url = start_server(0.0)
    reader = Reader(Limits(allow_private=True))
    rows = [{"id": str(i), "location": f"{url}/ok/{i}", "offset": None, "size": None} for i in range(images)]
    start = time.process_time()
    read = [reader.read(numbered) for numbered in enumerate(rows)]
    print(f"read over HTTP {_format_cpu_time(start, images)}, {read[0].bytes / 1000:.0f} kB")
    server.terminate()
    read = [reader.read((i, {**rows[i], "location": str(paths[i % len(paths)])})) for i in range(images)]
    start = time.process_time()
    pixels = [decode(image).pixels.shape for image in read]
    print(f"decode {_format_cpu_time(start, images)}, {np.mean([h * w for h, w, _ in pixels]) / 1e6:.2f} megapixels")
    mask = np.zeros((100, 150), bool)
    mask[20:80, 10:140] = True
    result = Detections([[300, 200, 400, 350]], [1], [0.9], [mask], pixels[0])
    start = time.process_time()
    for row in rows:
        found = results.detection_rows(result, WaitingDetector.class_names)
        row.update(detections=found, status="ok", width=1, height=1)
    print(f"encode a mask {_format_cpu_time(start, images)}")
    start = time.process_time()
    results.commit(folder, 0, rows, {})
    size = results.shard_path(folder, 0).stat().st_size
    print(f"commit {_format_cpu_time(start, images)}, {size / images:.0f} bytes of Parquet")


def _format_cpu_time(start: float, images: int) -> str:
    return f"{(time.process_time() - start) / images * 1000:.2f} ms of CPU"
