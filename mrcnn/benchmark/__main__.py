"""Runs each benchmark in a separate process, so that its peak memory can be measured, and prints the results.

python -m mrcnn.benchmark                 # all: about 15 minutes on 2 cores
python -m mrcnn.benchmark --quick         # one size, one backbone
python -m mrcnn.benchmark --json out.json
"""

import argparse
import itertools
import json
import subprocess
import sys

PRECISIONS = ("float32", "bfloat16")


def list_benchmarks(quick: bool) -> list[tuple[str, dict]]:
    """Returns (module, options) of each benchmark."""
    backbones, sizes = (("resnet50",), (512,)) if quick else (("resnet50", "resnet101"), (512, 1024))
    detection = [
        ("detection", dict(backbone=backbone, size=size, precision=precision))
        for backbone, size, precision in itertools.product(backbones, sizes, PRECISIONS)
    ]
    training = [
        ("training_step", dict(backbone=backbone, layers=layers, batch=batch, precision=precision))
        for backbone, layers, batch, precision in itertools.product(
            backbones, ("heads", "all"), (1,) if quick else (1, 2), PRECISIONS
        )
    ]
    evaluation = [("evaluation", dict(masks=masks)) for masks in ("crops", "pasted")]
    return [*detection, *training, ("training_run", {}), ("start", {}), *evaluation, ("mask_resolution", {})]


def run(module: str, options: dict) -> dict:
    """Runs a benchmark and returns its results, or {"error": ...} if it failed."""
    flags = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", f"mrcnn.benchmark.{module}", *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1:]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mrcnn.benchmark", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one size, one backbone")
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON")
    arguments = parser.parse_args()
    results = []
    for module, options in list_benchmarks(arguments.quick):
        figures = run(module, options)
        results.append({"case": module, **options, **figures})
        print(f"{module:14}" + "  ".join(f"{key} {value}" for key, value in {**options, **figures}.items()), flush=True)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    return int(any("error" in result for result in results))


if __name__ == "__main__":
    sys.exit(main())
