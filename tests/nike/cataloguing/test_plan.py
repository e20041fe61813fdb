"""The plan: shards of equal size, unique ids, no incomplete files."""

import pytest

pytest.importorskip("pyarrow", reason="pip install -e '.[catalogue]' brings it")
import pyarrow as pa

from nike.cataloguing import plan as planning
from nike.cataloguing.plan import limit_rows, open_plan, write_plan
from nike.cataloguing.rows import SCHEMA
from nike.cataloguing.unique import UniqueIds


def table(ids):
    return pa.table([ids, [f"/{i}.jpg" for i in ids], [None] * len(ids), [None] * len(ids)], schema=SCHEMA)


def names(start, stop):
    return [f"n{i}" for i in range(start, stop)]


def test_rows_are_divided_into_shards_independently_of_the_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "SHARDS_PER_PART", 3)
    tables = [table(names(0, 1)), table(names(1, 8)), table([]), table(names(8, 23))]
    plan = write_plan(tmp_path, tables, 5, {"model": "m"})
    assert (plan.rows, plan.shards) == (23, 5)
    assert [len(plan.read(shard)) for shard in range(5)] == [5, 5, 5, 5, 3]
    assert [row["id"] for shard in range(5) for row in plan.read(shard)] == names(0, 23)
    assert sorted(path.name for path in plan.folder.iterdir()) == [
        "part-00000.parquet",
        "part-00001.parquet",
        "plan.json",
    ]
    assert open_plan(tmp_path) == plan


@pytest.mark.parametrize("first, second", [(0, 999), (3, 4), (500, 501)])
def test_a_repeated_id_is_named(tmp_path, first, second):
    ids = names(0, 1000)
    ids[second] = ids[first]
    with pytest.raises(ValueError, match=rf"'n{first}': .*rows {first + 1:,} and {second + 1:,} have the same"):
        write_plan(tmp_path, [table(ids[:700]), table(ids[700:])], 64, {})
    assert open_plan(tmp_path) is None


def test_many_ids_that_differ(tmp_path):
    with UniqueIds(tmp_path) as ids:
        for start in range(0, 50_000, 10_000):
            ids.add(names(start, start + 10_000))
        assert ids.find_duplicate() is None
        ids.add(["n49999"])
        assert ids.find_duplicate() == (49_999, 50_000)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_plan_is_not_used(tmp_path):
    def broken():
        yield table(names(0, 10))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_plan(tmp_path, broken(), 5, {})
    assert open_plan(tmp_path) is None
    assert write_plan(tmp_path, [table(names(0, 3))], 5, {}).rows == 3


def test_no_rows_and_a_damaged_plan(tmp_path):
    with pytest.raises(ValueError, match="has no rows"):
        write_plan(tmp_path, [], 5, {})
    (tmp_path / "plan" / "plan.json").write_text('{"rows": 3}')
    with pytest.raises(ValueError, match=r"plan\.json: the plan is damaged"):
        open_plan(tmp_path)


@pytest.mark.parametrize("limit, expected", [(None, 25), (3, 3), (10, 10), (11, 11), (99, 25)])
def test_a_limit_reads_no_further_than_needed(limit, expected):
    read = []

    def tables():
        for start in (0, 10, 20):
            read.append(start)
            yield table(names(start, min(start + 10, 25)))

    assert sum(map(len, limit_rows(tables(), limit))) == expected
    assert len(read) == (3 if limit is None else min(3, -(-limit // 10)))
