"""Compares the measured and the simulated throughput of several layouts."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

from nike.cataloguing import pipeline, results, run
from nike.cataloguing.benchmark.parts import load_waiting_detector, start_server, write_benchmark_plan
from nike.cataloguing.images import Limits
from nike.cataloguing.simulation import Costs, Layout, simulate

LAYOUTS = (  # number of actors and of downloads, latency of the server and detection time in seconds
    (1, 1, 0.02, 0.05),
    (1, 8, 0.02, 0.05),
    (2, 8, 0.02, 0.05),
    (2, 4, 0.2, 0.02),
    (1, 2, 0.2, 0.02),
)


def measure_rates(images: int, folder: Path) -> None:
    """Runs several layouts and prints the measured and the predicted images per second.

    There are two predictions. The first uses the costs measured in the same run. The second uses the costs measured in
    the first run, adjusted to the server latency and the detection time of the layout.
    """
    overheads: Costs | None = None
    for actors, threads, latency, detect in LAYOUTS:
        layout = Layout(actors, os.cpu_count() or 1, threads, 1, max(1, images // 8))
        measured, costs, busy = _measure_layout(images, folder, layout, latency, detect)
        overheads = overheads or Costs(costs.read - latency, costs.decode, costs.detect - detect, 0)
        known = Costs(overheads.read + latency, overheads.decode, overheads.detect + detect, 0)
        predicted = [simulate(each, layout, images).images_per_second for each in (costs, known)]
        print(
            f"actors {actors}, downloads {threads}, latency {latency:.2f} s, detector {detect:.2f} s: {measured:.2f} "
            f"images/s; simulated {predicted[0]:.2f} ({predicted[0] / measured - 1:+.0%}), from the first run's costs "
            f"{predicted[1]:.2f} ({predicted[1] / measured - 1:+.0%}); detectors busy {busy:.0%}; read "
            f"{costs.read:.3f}, decode {costs.decode:.3f}, detect {costs.detect:.3f} s, {costs.bytes / 1000:.0f} kB",
            flush=True,
        )


def _measure_layout(
    images: int, folder: Path, layout: Layout, latency: float, detect: float
) -> tuple[float, Costs, float]:
    """Returns the images per second, the costs, and the fraction of the time in which the detectors are busy."""
    server, url = start_server(latency)
    output = Path(tempfile.mkdtemp(dir=folder))
    plan = write_benchmark_plan(output, ["ok"] * images, url, layout.shard_size)
    limits = Limits(layout.threads, layout.threads, allow_private=True)
    make = functools.partial(run.make_processor, output, functools.partial(load_waiting_detector, detect), limits, 1)
    pipeline.start_ray(None)
    try:
        done = list(pipeline.process_shards(range(plan.shards), make, pipeline.Pool(layout.actors, 1)))
    finally:
        pipeline.stop_ray()
        server.terminate()
    # The duration from the start of the first shard to the end of the last shard is computed from the modification
    # times of the files, because Ray returns results late and in groups.
    ends = [results.shard_path(output, each["shard"]).stat().st_mtime for each in done]
    seconds = max(ends) - min(end - each["seconds"] for end, each in zip(ends, done, strict=True))
    busy = sum(each["detect_seconds"] for each in done) / (seconds * layout.actors)
    return images / seconds, Costs.measured(done, 0), busy
