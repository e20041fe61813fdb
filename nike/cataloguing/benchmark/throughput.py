"""Throughput of several layouts, measured and simulated."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

from nike.cataloguing import pipeline, results, run
from nike.cataloguing.benchmark.parts import load_waiting_detector, plan_of, start_server
from nike.cataloguing.images import Limits
from nike.cataloguing.simulation import Costs, Layout, simulate

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
    """Returns the images per second, the costs, and the fraction of the time in which the detectors work."""
    server, url = start_server(latency)
    output = Path(tempfile.mkdtemp(dir=folder))
    plan = plan_of(output, ["ok"] * images, url, layout.shard_size)
    limits = Limits(layout.threads, layout.threads, allow_private=True)
    make = functools.partial(run.make_processor, output, functools.partial(load_waiting_detector, detect), limits, 1)
    pipeline.start_ray(None)
    try:
        done = list(pipeline.process_shards(range(plan.shards), make, pipeline.Pool(layout.actors, 1)))
    finally:
        pipeline.stop_ray()
        server.terminate()
    # From the start of the first shard to the end of the last, by the times of their files, because Ray returns results
    # late and in groups.
    ends = [results.shard_path(output, each["shard"]).stat().st_mtime for each in done]
    seconds = max(ends) - min(end - each["seconds"] for end, each in zip(ends, done, strict=True))
    busy = sum(each["detect_seconds"] for each in done) / (seconds * layout.actors)
    return images / seconds, Costs.measured(done, 0), busy
