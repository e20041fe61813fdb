"""Processing of a shard: rows equal to those of plain detection, commit, resuming, images that kill the process."""

import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="pip install -e '.[catalogue]' brings it")
import pyarrow as pa
import pyarrow.parquet as pq

from nike.cataloguing import results
from nike.cataloguing.images import Limits, decode
from nike.cataloguing.plan import open_plan, write_plan
from nike.cataloguing.report import Report, format_duration
from nike.cataloguing.rows import SCHEMA
from nike.cataloguing.run import lock_output, open_or_create_plan
from nike.cataloguing.shard import ShardProcessor, Stages
from nike.datasets import rle
from nike.detection.detector import Detector


@pytest.fixture
def make_run(tmp_path, red_finder):
    """Returns the function `make_run(locations, shard_size)`.

    It creates an output folder with a plan and returns the folder and the processor of shards.
    """

    def make(locations, shard_size=10, model=None, folder="out"):
        output, count = tmp_path / folder, len(locations)
        columns = [[f"id{i}" for i in range(count)], locations, [None] * count, [None] * count]
        plan = write_plan(output, [pa.table(columns, schema=SCHEMA)], shard_size, {"model": "sha"})
        detector = Detector(model or red_finder(), ["BG", "nike"])
        return output, ShardProcessor(output, plan, Stages(detector, Limits(allow_private=True), 2, "sha"))

    return make


def rows(output, shard=0):
    return pq.read_table(results.shard_path(output, shard)).to_pylist()


@pytest.fixture
def photos(tmp_path, make_jpeg):
    paths = [tmp_path / f"{i}.jpg" for i in range(12)]
    for i, path in enumerate(paths):
        path.write_bytes(make_jpeg(i))
    return [str(path) for path in paths]


def test_rows_are_those_of_plain_detection_in_order(make_run, photos, red_finder):
    photos[4], photos[11] = "/missing.jpg", None
    output, processor = make_run(photos, 12)
    statistics = processor.process(0)
    found = rows(output)
    assert [row["id"] for row in found] == [f"id{i}" for i in range(12)]
    assert [row["status"] for row in found] == ["ok"] * 4 + ["missing"] + ["ok"] * 6 + ["no_location"]
    assert statistics["status"] == {"ok": 10, "missing": 1, "no_location": 1} and statistics["detections"] == 10
    assert results.read_statistics(output, 0) == statistics
    for row, path in zip(found, photos, strict=True):
        if row["status"] != "ok":
            assert row["width"] is None and row["detections"] == [] and row["error"]
            continue
        image = decode(processor.stages._reader.read((0, {"id": "", "location": path, "offset": None, "size": None})))
        (expected,) = red_finder().detect_stream([image.pixels])
        (one,) = row["detections"]
        assert [one["y1"], one["x1"], one["y2"], one["x2"]] == expected.boxes[0].tolist()
        assert one["score"] == expected.scores[0] and one["class"] == "nike"
        mask = rle.decode({"size": [row["height"], row["width"]], "counts": one["rle"]}, row["height"], row["width"])
        assert np.array_equal(mask, expected.masks[:, :, 0])
        assert row["model"] == "sha" and row["seconds"] > 0


def test_a_committed_shard_is_not_processed_again(make_run, photos):
    output, processor = make_run(photos)
    first = processor.process(1)
    before = results.shard_path(output, 1).stat()
    again, after = processor.process(1), results.shard_path(output, 1).stat()
    unchanged = ("st_ino", "st_size", "st_mtime_ns", "st_ctime_ns", "st_mode", "st_nlink", "st_uid", "st_gid", "st_dev")
    assert again == first  # st_atime changes, because the shard is read
    assert all(getattr(after, name) == getattr(before, name) for name in unchanged)
    assert results.find_committed(output, 2).tolist() == [False, True]
    assert not any((output / "journal").iterdir())


def test_files_of_a_killed_writer_are_ignored(make_run, photos, monkeypatch):
    output, processor = make_run(photos)

    def cut(table, path):
        Path(path).write_bytes(b"PAR1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", cut)
    with pytest.raises(OSError, match="No space left"):
        processor.process(0)
    (output / "data" / ".1234.tmp.parquet").write_bytes(b"PAR1")  # left by a process that was killed
    assert results.find_committed(output, 2).tolist() == [False, False]
    assert not list((output / "data").iterdir())
    monkeypatch.undo()
    assert processor.process(0)["rows"] == 10


def test_a_failure_of_the_detector_is_a_status(make_run, photos, red_finder):
    class Fails(red_finder):
        def detect_one(self, image):
            number = len(self.shapes)
            result = super().detect_one(image)
            return result.failed(ValueError("too small")) if number == 3 else result

    output, processor = make_run(photos, 12, Fails())
    processor.process(0)
    assert [(row["id"], row["error"]) for row in rows(output) if row["status"] == "failed"] == [("id3", "too small")]


KILLER = """
import os, signal, sys
from pathlib import Path
import numpy as np
from nike.cataloguing.images import Limits
from nike.cataloguing.plan import open_plan
from nike.cataloguing.shard import ShardProcessor, Stages
from mrcnn.detections import Detections

class Dies:
    class_names = ["BG", "nike"]
    def detect(self, photos):
        for photo in photos:
            if photo.shape[0] == 13:
                os.kill(os.getpid(), signal.SIGKILL)
            yield Detections(np.zeros((0, 4)), [], [], [], photo.shape)

output = Path(sys.argv[1])
ShardProcessor(output, open_plan(output), Stages(Dies(), Limits())).process(0)
"""


def test_images_that_kill_the_process_are_found_and_skipped(make_run, photos, make_jpeg):
    for i in (2, 7):
        Path(photos[i]).write_bytes(make_jpeg(i, height=13))
    output, _ = make_run(photos, 12)
    codes = []
    while not results.shard_path(output, 0).is_file():
        command = [sys.executable, "-c", KILLER, str(output)]
        codes.append(subprocess.run(command, cwd=Path(__file__).parents[3], env=os.environ).returncode)
        assert len(codes) < 9
    assert codes == [-signal.SIGKILL] * 5 + [0]  # the first attempt, and two attempts for each of the images
    found = rows(output)
    assert [row["id"] for row in found if row["status"] == "crashed"] == ["id2", "id7"]
    assert [row["status"] for row in found].count("ok") == 10


def test_other_settings_and_a_second_run_are_rejected(make_run, photos, tmp_path):
    output, processor = make_run(photos)
    same = functools.partial(open_or_create_plan, output, lambda: [], 10)
    assert same({"model": "sha"}) == processor.plan == open_plan(output)
    with pytest.raises(ValueError, match="was started with model 'sha', got 'other'"):
        same({"model": "other"})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(ValueError, match="contains other files"):
        open_or_create_plan(tmp_path / "full", lambda: [], 10, {})
    with lock_output(output), pytest.raises(ValueError, match="another run"), lock_output(output):
        pass
    with lock_output(output):
        pass


def test_the_report_counts_and_predicts():
    lines, times = [], iter([0.0, 5.0, 20.0, 20.0, 20.0])
    report = Report(1000, lines.append, lambda: next(times))
    report.add({"rows": 200, "status": {"ok": 200}, "detections": 3}, is_new=False)
    report.add({"rows": 100, "status": {"ok": 90, "missing": 10}, "detections": 2})
    report.add({"rows": 100, "status": {"ok": 99, "timeout": 1}, "detections": 1})
    assert lines == ["400 of 1,000 images (40%), 10.0 images/s, 60 s left; failed: 10 missing, 1 timeout"]
    assert report.final_line() == "6 detections on 389 images; 11 failed: 10 missing, 1 timeout"
    assert json.loads(json.dumps(report.summary()))["status"] == {"ok": 389, "missing": 10, "timeout": 1}
    assert [format_duration(s) for s in (99, 600, 9000, 864000)] == ["99 s", "10 min", "2.5 h", "10.0 days"]
