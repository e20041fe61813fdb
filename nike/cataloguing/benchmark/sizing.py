"""Estimates by simulation how many machines are required to process a number of images per day."""

from __future__ import annotations

from pathlib import Path

from nike.cataloguing.simulation import Costs, Layout, simulate

# Costs of an image of 2 megapixels and 300 kB from a server with a latency of 0.2 s. The cost of a shard was measured.
ON_CPU = Costs(read=0.2, decode=0.022, detect=0.075, detect_cores=4, bytes=3e5, shard=0.5)
ON_GPU = Costs(read=0.2, decode=0.022, detect=0.01, detect_cores=0, bytes=3e5, shard=0.5)  # assumes 100 images/s
MACHINES = (
    ("32 cores, 8 actors", ON_CPU, Layout(8, 32, 16, 4)),
    ("8 cores, 1 GPU", ON_GPU, Layout(1, 8, 16, 8)),
    ("the same, 64 downloads", ON_GPU, Layout(1, 8, 64, 8)),
    ("the same, shards of 5,000", ON_GPU, Layout(1, 8, 64, 8, 5000)),
)


def size_machines(images: int, folder: Path) -> None:
    """Prints the simulated throughput of machines and the number of machines for 10^6, 10^7 and 10^8 images per day."""
    for name, costs, layout in MACHINES:
        found = simulate(costs, layout, layout.actors * layout.shard_size * 4)
        busiest = max(found.utilization, key=lambda stage: found.utilization[stage])
        print(f"{name}: {found.images_per_second:.0f} images/s, {busiest} {found.utilization[busiest]:.0%} busy")
        for daily in (1e6, 1e7, 1e8):
            rate = daily / 86_400
            print(
                f"  {daily:.0e} per day: {rate / found.images_per_second:.2f} machines, "
                f"{rate * costs.bytes * 8 / 1e9:.2f} Gbit/s"
            )
