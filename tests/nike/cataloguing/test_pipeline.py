"""The pool of actors: as many as fit, and a clear message where they do not."""

import pytest

pytest.importorskip("pyarrow", reason="pip install -e '.[catalogue]' brings it")

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
    assert pipeline.Pool(*pool).fitted(cpus, gpus) == pipeline.Pool(*expected)


@pytest.mark.parametrize("pool, cpus, gpus", [((3, 1), 2, 0), ((1, 1, 1), 2, 0), ((3,), 2, 0), ((None, 1, 2), 8, 1)])
def test_actors_that_do_not_fit(pool, cpus, gpus):
    with pytest.raises(ValueError, match=r"do not fit into"):
        pipeline.Pool(*pool).fitted(cpus, gpus)
