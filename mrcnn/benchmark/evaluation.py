"""Memory and time of the evaluation of 100 detections on a 12-megapixel image, with masks as crops or pasted at once.

python -m mrcnn.benchmark.evaluation --masks=crops
"""

import argparse
import json
import resource
import time

import numpy as np

from mrcnn.detections import Detections
from mrcnn.evaluation import CocoEvaluator
from mrcnn.evaluation.records import encode_masks

SHAPE = (3000, 4000)
COUNT = 100


def random_detections(rng: np.random.Generator) -> Detections:
    """Returns detections whose masks are discs with diameters of 50 to 600 pixels."""
    sides = rng.integers(50, 600, COUNT)
    corners = rng.integers(0, np.array(SHAPE) - sides[:, None])  # [N, 2]
    boxes = np.concatenate([corners, corners + sides[:, None]], axis=1)
    crops = []
    for side in sides:
        offset = np.arange(side) - (side - 1) / 2
        crops.append(offset[:, None] ** 2 + offset**2 <= (side / 2) ** 2)
    return Detections(boxes, np.ones(COUNT), np.sort(rng.uniform(size=COUNT))[::-1], crops, SHAPE)


def peak_memory() -> int:
    """Returns the peak resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--masks", choices=("crops", "pasted"), default="crops")
    masks = parser.parse_args().masks
    found = random_detections(np.random.default_rng(0))
    before = peak_memory()
    truth = [encode_masks(found.full_mask(i)[:, :, None])[0] for i in range(0, COUNT, 10)]
    start = time.perf_counter()
    result = dict(found) if masks == "pasted" else found
    evaluator = CocoEvaluator(["BG", "disc"])
    evaluator.add(0, np.ones(len(truth)), truth, result, SHAPE)
    seconds = time.perf_counter() - start
    ap = evaluator.summarize()["mask"]["AP50"]
    print(json.dumps(dict(mib=peak_memory() - before, seconds=round(seconds, 2), ap50=round(ap, 3))))


if __name__ == "__main__":
    main()
