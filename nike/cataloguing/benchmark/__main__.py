"""Benchmarks of the pipeline with a local web server and a detector that only waits.

python -m nike.cataloguing.benchmark rates                   measured and simulated throughput
python -m nike.cataloguing.benchmark kills --images 20000    kill driver and actor, resume, and check the output
python -m nike.cataloguing.benchmark plan --images 10000000  time, memory and disk space of planning
python -m nike.cataloguing.benchmark stages                  CPU time per image in each stage
python -m nike.cataloguing.benchmark sizing                  simulated machines for 10^6 to 10^8 images per day
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from nike.cataloguing.benchmark.failures import measure_kills
from nike.cataloguing.benchmark.sizing import size_machines
from nike.cataloguing.benchmark.stages import measure_plan, measure_stages
from nike.cataloguing.benchmark.throughput import measure_rates

BENCHMARKS = {
    "rates": measure_rates,
    "kills": measure_kills,
    "plan": measure_plan,
    "stages": measure_stages,
    "sizing": size_machines,
}


def main() -> None:
    """Runs the benchmark chosen on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", choices=BENCHMARKS)
    parser.add_argument("--images", type=int, default=400)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="catalogue") as folder:
        BENCHMARKS[arguments.benchmark](arguments.images, Path(folder))


if __name__ == "__main__":  # false in the processes that the benchmarks start
    main()
