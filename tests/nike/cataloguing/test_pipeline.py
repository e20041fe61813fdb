"""The pool of actors: number of actors, error if none fits, and failure of an actor."""

import os
import signal

import pytest

pytest.importorskip("pyarrow", reason="pip install -e '.[catalogue]' brings it")

from mrcnn.errors import UserError
from nike.cataloguing import pipeline


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
    assert pipeline.Pool(*pool).fit_to(cpus, gpus) == pipeline.Pool(*expected)


@pytest.mark.parametrize("pool, cpus, gpus", [((3, 1), 2, 0), ((1, 1, 1), 2, 0), ((3,), 2, 0), ((None, 1, 2), 8, 1)])
def test_actors_that_do_not_fit(pool, cpus, gpus):
    with pytest.raises(ValueError, match=r"do not fit into"):
        pipeline.Pool(*pool).fit_to(cpus, gpus)


@pytest.mark.parametrize("address, message", [(None, "Ray does not start"), ("a:1", "--address a:1: no Ray cluster")])
def test_a_failed_start_is_a_one_line_error(monkeypatch, address, message):
    ray = pytest.importorskip("ray", reason="pip install -e '.[catalogue]' brings it")

    starts = []

    def init(*arguments, **options):
        starts.append(arguments)
        raise Exception("The current node timed out during startup.\nThis could happen")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(UserError, match=rf"^{message}.* \(The current node timed out during startup\.\)\.$"):
        pipeline.start_ray(address)
    assert starts == [(address or "local",)] * (1 if address else 2)


def test_a_slow_start_is_retried(monkeypatch):
    ray = pytest.importorskip("ray", reason="pip install -e '.[catalogue]' brings it")
    answers = [Exception("The current node timed out during startup."), None]

    def init(*arguments, **options):
        if (answer := answers.pop(0)) is not None:
            raise answer

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    assert pipeline.start_ray(None) == (2.0, 0.0) and answers == []


@pytest.fixture(scope="module")
def local_ray():
    pytest.importorskip("ray", reason="pip install -e '.[catalogue]' brings it")
    pipeline.start_ray(None)
    yield
    pipeline.stop_ray()


def test_a_killed_worker_is_replaced_and_its_shard_is_repeated(local_ray, tmp_path):
    def make(cpus):
        def process(shard):
            marker = tmp_path / str(shard)
            if shard == 3 and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return {"shard": shard, "cpus": cpus}

        return process

    results = list(pipeline.process_shards(range(6), make, pipeline.Pool(1, 1)))
    assert sorted(result["shard"] for result in results) == list(range(6))
    assert all(result["cpus"] == 1 for result in results) and (tmp_path / "3").exists()


@pytest.mark.parametrize("fails_in", ["make", "process"])
@pytest.mark.parametrize("error", [UserError("shard 7: no image."), OSError(28, "No space left on device")])
def test_errors_of_workers_reach_the_user_in_one_line(local_ray, fails_in, error):
    def make(cpus):
        if fails_in == "make":
            raise error

        def process(shard):
            raise error

        return process

    with pytest.raises(UserError) as raised:
        list(pipeline.process_shards([7], make, pipeline.Pool(1, 1)))
    assert str(raised.value) == str(error)
