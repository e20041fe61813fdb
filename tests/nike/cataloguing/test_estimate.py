"""The dry run: uniform random sample, and estimate of time and cost from the measured stages."""

import re

import pytest

pytest.importorskip("pyarrow", reason="pip install -e '.[catalogue]' brings it")
import pyarrow as pa

from nike.cataloguing.estimate import dry_run, sample_rows
from nike.cataloguing.images import Limits
from nike.cataloguing.pipeline import Pool
from nike.cataloguing.rows import SCHEMA
from nike.detection.detector import Detector


def tables(locations, size=7):
    for start in range(0, len(locations), size):
        part = locations[start : start + size]
        ids = [f"id{start + i}" for i in range(len(part))]
        yield pa.table([ids, part, [None] * len(part), [None] * len(part)], schema=SCHEMA)


def test_the_sample_is_uniform_and_in_order():
    sample, count = sample_rows(tables([f"/{i}" for i in range(1000)]), 100)
    numbers = [int(name[2:]) for name in sample["id"].to_pylist()]
    assert count == 1000 and len(set(numbers)) == 100 and numbers == sorted(numbers)
    assert 400 < sum(numbers) / 100 < 600  # the mean is 500 with a standard deviation of 27
    assert len(sample_rows(tables(["/a", "/b"]))[0]) == 2


def test_lines(tmp_path, make_jpeg, red_finder, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    (tmp_path / "a.jpg").write_bytes(make_jpeg(1))
    locations = [str(tmp_path / "a.jpg")] * 30 + ["/missing.jpg"] * 10
    loaded = []

    def load(cpus):
        loaded.append(cpus)
        return Detector(red_finder(), ["BG", "nike"])

    lines = dry_run(load, tables(locations), Limits(), Pool(2), 10, price=3600)
    assert loaded == [2]
    assert lines[0] == "sample of 40 images: 30 ok, 10 missing; 30 detections"
    assert lines[1].startswith("  'id30': /missing.jpg: no such file") and len(lines) == 9
    assert re.fullmatch(r"40 images with 2 actors: \d+ s, [\d.]+ images/s, [\d.]+ MB/s; \w+ saturate .*", lines[7])
    rate, cost = float(re.search(r"([\d.]+) images/s", lines[7])[1]), float(lines[8].rpartition(": ")[2])
    assert cost == pytest.approx(40 / rate, rel=0.02, abs=0.01)  # the price is one unit per second


def test_no_rows():
    with pytest.raises(ValueError, match="no rows"):
        dry_run(lambda cpus: None, [], Limits(), Pool(1), 10)
