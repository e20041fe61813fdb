"""The whole run on Ray Data: two actors, faults of the server, an image that kills its worker, an error in a worker."""

import os
import signal
from importlib.util import find_spec

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="pip install -e '.[catalogue]' brings it")
import pyarrow as pa
import pyarrow.parquet as pq

from nike.cataloguing import pipeline, run
from nike.cataloguing.images import Limits
from nike.cataloguing.plan import write_plan
from nike.cataloguing.rows import SCHEMA

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="pip install -e '.[catalogue]' brings Ray")


@pytest.mark.parametrize(
    "pool, cpus, gpus, expected",
    [
        ((), 2, 0, (1, 2, 0)),
        ((), 32, 0, (8, 4, 0)),
        ((2,), 32, 0, (2, 16, 0)),
        ((None, 1), 6, 0, (6, 1, 0)),
        ((None, None, 1), 32, 4, (4, 8, 1)),
        ((None, None, 0.5), 32, 4, (8, 4, 0.5)),
    ],
)
def test_actors_that_fit(pool, cpus, gpus, expected):
    assert pipeline.Pool(*pool).fitted(cpus, gpus) == pipeline.Pool(*expected)


@pytest.mark.parametrize("pool, cpus, gpus", [((3, 1), 2, 0), ((1, 1, 1), 2, 0), ((3,), 2, 0), ((None, 1, 2), 8, 1)])
def test_actors_that_do_not_fit(pool, cpus, gpus):
    with pytest.raises(ValueError, match=r"do not fit into"):
        pipeline.Pool(*pool).fitted(cpus, gpus)


def plan_of(output, locations):
    columns = [[f"id{i}" for i in range(len(locations))], locations, *[[None] * len(locations)] * 2]
    return write_plan(output, [pa.table(columns, schema=SCHEMA)], 8, {"model": "sha"})


@needs_ray
def test_every_id_is_in_the_output_once(tmp_path, server, make_jpeg):
    def load(cpus):  # in the worker; local, so that it travels by value
        class DiesOfOne:
            class_names = ("BG", "nike")

            def detect(self, images):
                from mrcnn.detections import Detections

                for image in images:
                    if image.shape[0] == 13:
                        os.kill(os.getpid(), signal.SIGKILL)
                    box = np.array([[0, 0, 2, cpus]])
                    yield Detections(box, [1], [0.5], [np.ones((2, cpus), bool)], image.shape)

        return DiesOfOne()

    locations = [f"{server.url}/{i}.jpg" for i in range(40)]
    locations[3], locations[21] = f"{server.url}/missing/3.jpg", f"{server.url}/cut/21.jpg"
    (tmp_path / "poison.jpg").write_bytes(make_jpeg(0, height=13))
    locations[30] = str(tmp_path / "poison.jpg")
    output, lines = tmp_path / "out", []
    plan = plan_of(output, locations)
    limits, pool = Limits(threads=4, attempts=1, allow_private=True), pipeline.Pool(2, 1)
    report = run.process_all(output, plan, load, limits, pool, lines.append)
    table = pq.read_table(output / "data").to_pylist()
    assert sorted(row["id"] for row in table) == sorted(f"id{i}" for i in range(40))
    status = {row["id"]: row["status"] for row in table if row["status"] != "ok"}
    assert status == {"id3": "missing", "id21": "network", "id30": "crashed"}
    assert report.status == {"ok": 37, "missing": 1, "network": 1, "crashed": 1}
    assert lines == ["5 shards, 2 actors with 1 cores and 0 GPUs each"]
    again = run.process_all(output, plan, load, limits, pool, lines.append)  # nothing to do: Ray does not start
    assert again.status == report.status and len(lines) == 1


@needs_ray
def test_a_mistake_in_a_worker_is_its_message(tmp_path):
    def load(cpus):
        raise ValueError("tiny.h5: is damaged.")

    plan = plan_of(tmp_path / "out", ["/a.jpg"])
    with pytest.raises(ValueError, match=r"^tiny\.h5: is damaged\.$"):
        run.process_all(tmp_path / "out", plan, load, Limits(), pipeline.Pool(1, 1), lambda line: None)
