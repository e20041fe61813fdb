"""The plan of a run: a copy of the input rows in the output folder, divided into shards.

A shard is the unit of processing, of writing results and of resuming. Because of the copy, changes to the input do not
affect a resumed run, and workers can read a shard directly regardless of the input format.

    OUTPUT/plan/part-00000.parquet    one row group per shard, SHARDS_PER_PART per file
    OUTPUT/plan/plan.json             number of rows and shards, settings of the run; written last
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mrcnn.atomic import replacing
from mrcnn.errors import UserError
from nike.cataloguing.rows import SCHEMA
from nike.cataloguing.unique import UniqueIds
from nike.formatting import printable, short

SHARDS_PER_PART = 100
FOLDER, FILE = "plan", "plan.json"


@dataclass(frozen=True)
class Plan:
    """The shards of a run.

    Attributes:
        folder: folder of the plan.
        rows: number of rows of all shards.
        shard_size: number of rows per shard, except for the last one.
        settings: settings of the run, which must not change when the run is resumed.
    """

    folder: Path
    rows: int
    shard_size: int
    settings: Mapping[str, Any]

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.rows // self.shard_size)

    def read(self, shard: int) -> list[dict[str, Any]]:
        """Reads the rows of a shard as dicts with the columns of `rows.SCHEMA`."""
        with pq.ParquetFile(_part_path(self.folder, shard)) as file:
            return file.read_row_group(shard % SHARDS_PER_PART).to_pylist()


def _part_path(folder: Path, shard: int) -> Path:
    return folder / f"part-{shard // SHARDS_PER_PART:05d}.parquet"


def open_plan(output: Path) -> Plan | None:
    """Returns the plan of an output folder, or None if the folder contains no plan.

    Raises:
        ValueError: if the plan is damaged.
    """
    path = output / FOLDER / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Plan(path.parent, int(content["rows"]), int(content["shard_size"]), dict(content["settings"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{printable(path)}: the plan is damaged ({short(error)}). Choose another folder.") from None


def write_plan(output: Path, tables: Iterable[pa.Table], shard_size: int, settings: Mapping[str, Any]) -> Plan:
    """Writes the plan of a new run. An incomplete plan is replaced.

    Args:
        output: output folder.
        tables: iterator of tables with `rows.SCHEMA`. Only a few tables are in memory at a time.
        shard_size: number of rows per shard.
        settings: settings of the run, JSON-serializable.

    Raises:
        ValueError: if two rows have the same id, or there are no rows.
    """
    folder = output / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with UniqueIds(folder) as ids:
        rows = _write_parts(folder, _collect_ids(tables, ids), shard_size)
        plan = Plan(folder, rows, shard_size, settings)
        if not rows:
            raise UserError("the input has no rows.")
        if (pair := ids.find_duplicate()) is not None:
            first, second = pair
            name = plan.read(first // shard_size)[first % shard_size]["id"]
            raise UserError(
                f"id {short(name)}: expected different ids, but rows {first + 1:,} and {second + 1:,} have the same id."
            )
    with replacing(folder / FILE, durable=True) as temporary:
        temporary.write_text(json.dumps({"rows": rows, "shard_size": shard_size, "settings": settings}, indent=1))
    return plan


def _collect_ids(tables: Iterable[pa.Table], ids: UniqueIds) -> Iterator[pa.Table]:
    for table in tables:
        ids.add(table["id"].to_pylist())
        yield table


def _write_parts(folder: Path, tables: Iterable[pa.Table], shard_size: int) -> int:
    """Writes one row group per shard and returns the number of rows."""
    shards = rows = 0
    with ExitStack() as stack:
        for table in _split_into_shards(tables, shard_size):
            if shards % SHARDS_PER_PART == 0:
                stack.close()  # completes the previous part
                path = stack.enter_context(replacing(_part_path(folder, shards), durable=True))
                writer = stack.enter_context(pq.ParquetWriter(path, SCHEMA))
            writer.write_table(table, row_group_size=shard_size)
            shards, rows = shards + 1, rows + len(table)
    return rows


def _split_into_shards(tables: Iterable[pa.Table], shard_size: int) -> Iterator[pa.Table]:
    waiting = SCHEMA.empty_table()
    for table in tables:
        waiting = pa.concat_tables([waiting, table])
        while len(waiting) >= shard_size:
            yield waiting.slice(0, shard_size)
            waiting = waiting.slice(shard_size)
    if len(waiting):
        yield waiting


def limit_rows(tables: Iterable[pa.Table], rows: int | None) -> Iterator[pa.Table]:
    """Yields the first `rows` rows, or all rows if `rows` is None."""
    for table in tables:
        yield table if rows is None else table.slice(0, rows)
        if rows is not None and (rows := rows - min(rows, len(table))) == 0:
            return
