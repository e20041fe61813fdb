"""The output of a run: one Parquet file per shard, written atomically.

A shard is done when its file exists. Files are written under a temporary name, synchronized with the disk and renamed,
so no other record of finished shards is required. The statistics of a shard are stored as metadata of its file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mrcnn.atomic import replacing
from mrcnn.detections import Detections
from mrcnn.detections.formats import encode_rle

DETECTION = pa.struct(
    [
        ("class", pa.string()),
        ("score", pa.float32()),
        ("x1", pa.int32()),  # pixels of the upright image, half-open
        ("y1", pa.int32()),
        ("x2", pa.int32()),
        ("y2", pa.int32()),
        ("rle", pa.string()),  # compressed COCO RLE counts for the size (height, width) of the image
    ]
)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("location", pa.string()),
        ("width", pa.int32()),  # None if the image could not be used
        ("height", pa.int32()),
        ("detections", pa.list_(DETECTION)),
        ("status", pa.string()),  # "ok" or the type of failure; see `Reader.read`, `images.decode` and `shard`
        ("error", pa.string()),  # error message, or None if ok
        ("model", pa.string()),  # SHA-256 of the weights file
        ("seconds", pa.float32()),  # total duration of download, decoding and detection
    ]
)
FOLDER = "data"
NAME = re.compile(r"shard-(\d{7,})\.parquet")
METADATA_KEY = b"nike"


def shard_path(output: Path, shard: int) -> Path:
    """Returns the path of the file of a shard."""
    return output / FOLDER / f"shard-{shard:07d}.parquet"


def detection_rows(result: Detections, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the values of the column "detections", in order of decreasing score."""
    rows = []
    for i, (class_id, score) in enumerate(zip(result.class_ids, result.scores, strict=True)):
        y1, x1, y2, x2 = result.boxes[i].tolist()
        counts = encode_rle(result.full_mask(i))["counts"]
        box = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
        rows.append({"class": class_names[class_id], "score": float(score), **box, "rle": counts})
    return rows


def commit(output: Path, shard: int, rows: list[dict[str, Any]], statistics: dict[str, Any]) -> None:
    """Writes the file of a shard, which marks the shard as done."""
    metadata = {METADATA_KEY: json.dumps(statistics).encode()}
    table = pa.Table.from_pylist(rows, SCHEMA).replace_schema_metadata(metadata)
    with replacing(shard_path(output, shard), durable=True) as temporary:
        pq.write_table(table, temporary)


def read_statistics(output: Path, shard: int) -> dict[str, Any]:
    """Reads the statistics that `commit` stored with a shard."""
    return json.loads(pq.read_schema(shard_path(output, shard)).metadata[METADATA_KEY])


def find_committed(output: Path, shards: int) -> np.ndarray:
    """Returns which shards are done, bool `[shards]`, and deletes temporary files of interrupted runs."""
    done = np.zeros(shards, dtype=bool)
    folder = output / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with os.scandir(folder) as entries:
        for entry in entries:
            if match := NAME.fullmatch(entry.name):
                if int(match[1]) < shards:
                    done[int(match[1])] = True
            elif entry.name.startswith(".") and ".tmp" in entry.name:
                os.unlink(entry.path)
    return done
