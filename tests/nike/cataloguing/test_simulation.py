"""The simulation of a run, with throughputs derived by hand."""

import pytest

from nike.cataloguing.simulation import Costs, Layout, simulate


def rate(costs, layout, images=2000):
    return simulate(costs, layout, images)


@pytest.mark.parametrize("actors, expected", [(1, 10), (3, 30)])
def test_detection_on_gpus_scales_with_actors(actors, expected):
    found = rate(Costs(read=0.2, decode=0.01, detect=0.1, detect_cores=0), Layout(actors, cores=8), 6000)
    assert found.images_per_second == pytest.approx(expected, rel=0.05)
    assert found.utilization["detectors"] == pytest.approx(1, rel=0.05)


def test_slow_servers_limit_the_downloads():
    found = rate(Costs(read=2.0, decode=0.001, detect=0.01, detect_cores=0, bytes=1e5), Layout(1, 8, threads=16))
    assert found.images_per_second == pytest.approx(16 / 2, rel=0.1)
    assert found.bytes_per_second == pytest.approx(1e5 * found.images_per_second)
    assert max(found.utilization, key=found.utilization.get) == "downloads"


def test_actors_share_cores():
    """With two cores and 0.15 core seconds per image, two or more actors process 13.3 images per second."""
    costs = Costs(read=0.01, decode=0.05, detect=0.1)
    for actors in (2, 4):
        found = rate(costs, Layout(actors, cores=2))
        assert found.images_per_second == pytest.approx(2 / 0.15, rel=0.05)
        assert found.utilization["cores"] == pytest.approx(1, rel=0.05)


def test_each_shard_has_a_fixed_cost():
    costs = Costs(read=0.0, decode=0.0, detect=0.01, detect_cores=0, shard=1.0)
    assert rate(costs, Layout(1, 1, shard_size=100)).images_per_second == pytest.approx(100 / 2, rel=0.02)


def test_costs_are_means_of_statistics():
    keys = ("rows", "bytes", "read_seconds", "decode_seconds", "detect_seconds")
    statistics = [dict(zip(keys, values, strict=True)) for values in ((10, 100, 1, 2, 3), (30, 300, 3, 6, 13))]
    assert Costs.measured(statistics, 4) == Costs(0.1, 0.2, 0.4, 4, 10)
