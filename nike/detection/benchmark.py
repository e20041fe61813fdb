"""Measures flicker with and without `nike detect --track` on generated videos with ground truth.

A virtual camera pans, rotates and zooms over a labelled image. The brightness rises and falls, which moves the scores
above and below the threshold.

python -m nike.detection.benchmark
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mrcnn.detections import Detections
from mrcnn.evaluation import evaluate_image, make_record
from nike import cli  # imported first to suppress TensorFlow's messages
from nike.datasets.nike_dataset import SAMPLE_DATA, NikeDataset
from nike.detection.options import add_detector_arguments, load_chosen_detector
from nike.detection.sources import Picture, Source
from nike.detection.tracking import LOW_THRESHOLD_FACTOR, track

NOISE = 6.0  # standard deviation in gray levels
MIN_BRIGHTNESS = 0.25  # lowest brightness of a fade
FADE_FRAMES = 24  # number of frames of a fade, from bright to dark to bright


class Frame(NamedTuple):
    """A frame of a generated video.

    Attributes:
        picture: the frame.
        masks: true masks, bool `[H, W, G]`.
        motion: affine map, float `[2, 3]`, from (x, y, 1) in the labelled image to (x, y) in the frame.
    """

    picture: Picture
    masks: np.ndarray
    motion: np.ndarray


def camera_motion(number: int, shape: Sequence[int]) -> np.ndarray:
    """Returns the motion of a frame; see `Frame`.

    The rotation is at most 6 degrees, the zoom 10%, and the shift 8% of the width and 16% of the height.
    """
    height, width = shape[:2]
    phase = 2 * np.pi * number / 60
    angle, zoom = np.radians(6) * np.sin(phase), 1 + 0.1 * np.sin(2 * phase)
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array([width, height]) / 2
    shift = 0.08 * np.array([width * np.sin(phase), height * (np.cos(phase) - 1)])
    return np.column_stack([turn, centre - turn @ centre + shift])


def warp(pixels: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Applies an affine map to an image, uint8 `[H, W, 3]`, or to masks, bool `[H, W, G]`."""
    import cv2

    size = pixels.shape[1::-1]
    if pixels.dtype == bool:
        moved = np.zeros_like(pixels)
        for number in range(pixels.shape[2]):
            moved[:, :, number] = cv2.warpAffine(pixels[:, :, number].astype(np.uint8), motion, size) > 0
        return moved
    return cv2.warpAffine(pixels, motion, size, borderMode=cv2.BORDER_REFLECT)


def make_video(image: np.ndarray, masks: np.ndarray, name: str, count: int, seed: int = 0) -> Iterator[Frame]:
    """Yields the frames of a generated video.

    Args:
        image: uint8 RGB `[H, W, 3]`.
        masks: bool `[H, W, G]`.
        name: name of the video.
        count: number of frames.
        seed: random seed of the noise.
    """
    rng = np.random.default_rng(seed)
    source = Source(name, None, True)
    for number in range(count):
        motion = camera_motion(number, image.shape)
        brightness = 1 - (1 - MIN_BRIGHTNESS) * np.sin(np.pi * number / FADE_FRAMES) ** 2
        pixels = warp(image, motion) * brightness + rng.normal(0, NOISE, image.shape)
        picture = Picture(source, name, np.clip(pixels, 0, 255).astype(np.uint8), number, 30.0)
        yield Frame(picture, warp(masks, motion), motion)


def measure_flicker(frames: Sequence[Frame], results: Sequence[Detections]) -> dict[str, float]:
    """Compares the detections of a video with the ground truth, at mask IoU 0.5.

    Returns:
        The counts `objects` (true objects, summed over frames), `found`, `false_positives`, `interruptions` (an object
        is found in a frame but not in the next one) and `id_switches` (an object has a different track than before),
        and two means. `iou` is the mean IoU between the masks of found objects and their true masks. `stability` is the
        mean IoU between the mask of an object, moved to the next frame, and its mask in that frame. It is 0 for an
        object found in only one of the two frames. Objects found in neither frame are excluded.
    """
    found: list[dict[int, np.ndarray]] = []
    counts = dict(objects=0, found=0, false_positives=0, interruptions=0, id_switches=0)
    tracks: dict[int, int] = {}
    true_ious: list[float] = []
    for number, (frame, result) in enumerate(zip(frames, results, strict=True)):
        true_ids = np.ones(frame.masks.shape[2], np.int32)
        record = make_record(number, true_ids, frame.masks, result, 2)
        outcome = evaluate_image(record, "mask", 0.5)
        matched = {truth: detection for detection, truth, _ in outcome.true_positives}
        counts["objects"] += len(true_ids)
        counts["found"] += len(matched)
        true_ious += [iou for *_, iou in outcome.true_positives]
        counts["false_positives"] += len(result) - len(matched)
        counts["interruptions"] += len(found[-1].keys() - matched.keys()) if found else 0
        found.append({truth: result.full_mask(detection) for truth, detection in matched.items()})
        for truth, detection in matched.items():
            track_id = -1 if result.track_ids is None else int(result.track_ids[detection])
            if track_id >= 0:
                counts["id_switches"] += tracks.setdefault(truth, track_id) != track_id
                tracks[truth] = track_id
    ious = []
    for (before, after), (earlier, later) in zip(itertools.pairwise(frames), itertools.pairwise(found), strict=True):
        step = _homogeneous(after.motion) @ np.linalg.inv(_homogeneous(before.motion))
        for truth in earlier.keys() | later.keys():
            iou = 0.0
            if truth in earlier and truth in later:
                moved = warp(earlier[truth][..., None], step[:2])[..., 0]
                iou = np.count_nonzero(moved & later[truth]) / max(np.count_nonzero(moved | later[truth]), 1)
            ious.append(iou)
    means = {"iou": true_ious, "stability": ious}
    return counts | {name: float(np.mean(values)) if values else 0.0 for name, values in means.items()}


def _homogeneous(motion: np.ndarray) -> np.ndarray:
    return np.vstack([motion, [0, 0, 1]])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.description = __doc__
    parser.add_argument(
        "--dataset", type=Path, default=SAMPLE_DATA, help="labelled images (default: the sample images)"
    )
    parser.add_argument(
        "--videos", type=int, default=4, help="number of videos, each generated from one image (default: 4)"
    )
    parser.add_argument("--frames", type=int, default=60, help="number of frames of each video (default: 60)")
    add_detector_arguments(parser)


def run_benchmark(arguments: argparse.Namespace) -> None:
    """Prints the metrics over all videos, without and with tracking, as JSON."""
    detector = load_chosen_detector(arguments, LOW_THRESHOLD_FACTOR)
    threshold = detector.min_confidence / LOW_THRESHOLD_FACTOR
    dataset = NikeDataset()
    dataset.load_nike(arguments.dataset, "val")
    dataset.prepare()
    totals: dict[str, dict[str, list[float]]] = {"plain": {}, "track": {}}
    labelled = [image_id for image_id in dataset.image_ids if dataset.load_mask(image_id)[0].any()]
    for image_id in labelled[: arguments.videos]:
        masks, _ = dataset.load_mask(image_id)
        frames = list(make_video(dataset.load_image(image_id), masks, f"video {image_id}", arguments.frames))
        low = list(detector.detect(frame.picture.image for frame in frames))
        plain = [result[result.scores >= threshold] for result in low]
        pictures = [frame.picture for frame in frames]
        tracked = [result for _, result in track(zip(pictures, low, strict=True), threshold)]
        for name, results in (("plain", plain), ("track", tracked)):
            for metric, value in measure_flicker(frames, results).items():
                totals[name].setdefault(metric, []).append(value)
    for name, metrics in totals.items():
        combined = {metric: np.mean(v) if metric in ("iou", "stability") else sum(v) for metric, v in metrics.items()}
        print(json.dumps({"results": name, **combined}))


def main(argv: list[str] | None = None) -> int:
    """Entry point of `python -m nike.detection.benchmark`. For the exit codes see `nike.cli.run`."""
    return cli.start("nike.detection.benchmark", add_arguments, run_benchmark, argv)


if __name__ == "__main__":
    sys.exit(main())
