"""Reads image ids and locations from tables, folders and tar files as a stream of Arrow tables.

A location is a URL, a path, or the path of a tar file with the position of a member.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from mrcnn.data.fetch import is_url
from mrcnn.errors import UserError
from nike.datasets import photos
from nike.formatting import printable

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("location", pa.string()),  # None if the cell in the table is empty
        ("offset", pa.int64()),  # position of a member of a tar file in bytes, or None
        ("size", pa.int64()),
    ]
)
ID_COLUMNS = ("id", "image_id")
LOCATION_COLUMNS = ("url", "image_url", "path", "file", "file_name")
TABLES = (".parquet", ".csv", ".csv.gz", ".jsonl", ".jsonl.gz")
INPUTS = (*TABLES, ".tar")
LAST_SUFFIXES = frozenset("." + suffix.rpartition(".")[2] for suffix in INPUTS)
BATCH = 1 << 15  # maximum number of rows of a table
MAX_LINE = 1 << 20  # maximum length of a JSON line in bytes


def find_inputs(arguments: Sequence[str]) -> list[Path]:
    """Returns the input files and folders. A folder without images is replaced with the tables and tar files in it.

    Raises:
        FileNotFoundError: if an input does not exist.
        ValueError: if an input is neither a folder, a table nor a tar file.
    """
    found: list[Path] = []
    for argument in arguments:
        path = Path(argument).absolute()
        if path.is_dir():
            images = next(photos.find_files(path), None)
            files = [] if images else [file for file in photos.find_files(path, LAST_SUFFIXES) if _is_input(file)]
            if not images and not files:
                raise UserError(f"{printable(argument)}: no images, tables or tar files in this folder.")
            found += files or [path]
        elif not photos.is_file(path):
            raise FileNotFoundError(f"{printable(argument)}: no such file or folder. Check the path.")
        elif not _is_input(path):
            raise UserError(f"{printable(argument)}: expected a folder, a .tar file or a table ({', '.join(TABLES)}).")
        else:
            found.append(path)
    return found


def _is_input(path: Path) -> bool:
    """Returns whether a file is a table or a tar file, according to its suffix."""
    return path.name.lower().endswith(INPUTS)


def read_rows(
    inputs: Sequence[Path], id_column: str | None = None, location_column: str | None = None
) -> Iterator[pa.Table]:
    """Streams the rows of all inputs.

    Args:
        inputs: see `find_inputs`.
        id_column: column of tables with the ids, or None for the first existing column of ID_COLUMNS.
        location_column: column of tables with URLs or paths relative to the table, or None for the first existing
            column of LOCATION_COLUMNS.

    Yields:
        Tables of SCHEMA with at most BATCH rows. The id of an image in a folder is its relative path. The id of a
        member of a tar file is "file.tar/member".

    Raises:
        ValueError: if a file is damaged, a column is missing, or a row has no id. The message contains the file and
            row.
    """
    for path in inputs:
        if path.is_dir():
            yield from _to_tables(_list_folder(path))
        elif path.name.lower().endswith(".tar"):
            yield from _to_tables(_list_tar(path))
        else:
            columns = ((id_column, ID_COLUMNS, "--id-column"), (location_column, LOCATION_COLUMNS, "--url-column"))
            number = 0
            for ids, locations in _read_table(path, columns):
                yield _validate(path, ids, locations, number)
                number += len(ids)


Columns = Sequence[tuple[str | None, Sequence[str], str]]


def _read_table(path: Path, columns: Columns) -> Iterator[tuple[pa.Array, pa.Array]]:
    name = path.name.lower().removesuffix(".gz")
    kind, read = next(
        (kind, read)
        for suffix, kind, read in (
            (".parquet", "Parquet", _read_parquet),
            (".csv", "CSV", _read_csv),
            (".jsonl", "JSON lines", _read_json_lines),
        )
        if name.endswith(suffix)
    )
    try:
        yield from read(path, lambda names: [_choose_column(path, names, *column) for column in columns])
    except (pa.ArrowException, EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
        reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__)[:200]
        raise UserError(f"{printable(path)}: cannot be read as {kind}: {reason}") from None


def _choose_column(path: Path, names: Sequence[str], wanted: str | None, usual: Sequence[str], option: str) -> str:
    found = [name for name in ([wanted] if wanted else usual) if name in names]
    if found:
        return found[0]
    expected = f"a column {wanted!r}" if wanted else f"a column named {' or '.join(usual)}"
    columns = printable(", ".join(names)[:200])
    raise UserError(f"{printable(path)}: expected {expected}, got columns {columns}. Choose one with {option} NAME.")


ChooseColumns = Callable[[Sequence[str]], list[str]]


def _read_parquet(path: Path, choose: ChooseColumns) -> Iterator[tuple[pa.Array, pa.Array]]:
    with pq.ParquetFile(path) as file:
        columns = choose(file.schema_arrow.names)
        for batch in file.iter_batches(BATCH, columns=list(dict.fromkeys(columns))):
            yield tuple(batch.column(name).cast(pa.string()) for name in columns)


def _read_csv(path: Path, choose: ChooseColumns) -> Iterator[tuple[pa.Array, pa.Array]]:
    with _open_binary(path) as file:
        names = pyarrow.csv.open_csv(pa.BufferReader(_header_line(file))).schema.names
        columns = choose(names)
    options = pyarrow.csv.ConvertOptions(
        include_columns=list(dict.fromkeys(columns)),
        column_types={name: pa.string() for name in columns},  # keeps ids such as 00123 as text
        strings_can_be_null=True,
        null_values=[""],
        quoted_strings_can_be_null=True,
    )
    parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
    with (
        _open_binary(path) as file,
        pyarrow.csv.open_csv(file, parse_options=parsing, convert_options=options) as reader,
    ):
        for batch in reader:
            for start in range(0, len(batch), BATCH):
                part = batch.slice(start, BATCH)
                yield tuple(part.column(name) for name in columns)


def _header_line(file: BinaryIO) -> bytes:
    """Returns the header line of a CSV file."""
    header = file.readline(MAX_LINE)
    return header.rstrip(b"\r\n") + b"\n"


def _read_json_lines(path: Path, choose: ChooseColumns) -> Iterator[tuple[pa.Array, pa.Array]]:
    columns: list[str] = []
    rows: list[tuple[str | None, str | None]] = []
    with _open_binary(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), b""), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError
            except (ValueError, RecursionError):
                raise UserError(f"{printable(path)}, line {number}: expected a JSON object.") from None
            columns = columns or choose(list(row))
            rows.append(tuple(None if row.get(name) is None else str(row[name]) for name in columns))
            if len(rows) == BATCH:
                yield tuple(pa.array(column, pa.string()) for column in zip(*rows, strict=True))
                rows.clear()
    if rows:
        yield tuple(pa.array(column, pa.string()) for column in zip(*rows, strict=True))


def _open_binary(path: Path) -> BinaryIO:
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else open(path, "rb")


def _validate(path: Path, ids: pa.Array, locations: pa.Array, first: int) -> pa.Table:
    """Validates a table and converts it to SCHEMA with absolute paths."""
    if ids.null_count:
        number = first + ids.is_null().index(True).as_py() + 1
        raise UserError(f"{printable(path)}, row {number}: no id. Every image requires an id.")
    folder = path.parent
    absolute = [
        value if value is None or is_url(value) else None if not value.strip() else str(folder / value)
        for value in locations.to_pylist()
    ]
    empty = pa.nulls(len(ids), pa.int64())
    return pa.table([ids, pa.array(absolute, pa.string()), empty, empty], schema=SCHEMA)


Row = tuple[str, str, int | None, int | None]


def _list_folder(path: Path) -> Iterator[Row]:
    for photo in photos.find_files(path):
        yield printable(photo.relative_to(path).as_posix()), str(photo), None, None


def _list_tar(path: Path) -> Iterator[Row]:
    """Yields the members that are images, with their positions for random access. Hidden files are skipped."""
    try:
        with tarfile.open(path, "r:") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # otherwise all headers stay in memory
                name = Path(member.name)
                if member.isfile() and name.suffix.lower() in photos.SUFFIXES and not name.name.startswith("."):
                    yield printable(f"{path.name}/{member.name}"), str(path), member.offset_data, member.size
    except (tarfile.TarError, EOFError) as error:
        raise UserError(f"{printable(path)}: cannot be read as a tar file: {printable(error)}") from None


def _to_tables(rows: Iterator[Row]) -> Iterator[pa.Table]:
    waiting: list[Row] = []
    for row in rows:
        waiting.append(row)
        if len(waiting) == BATCH:
            yield _to_table(waiting)
            waiting = []
    if waiting:
        yield _to_table(waiting)


def _to_table(rows: list[Row]) -> pa.Table:
    columns = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), SCHEMA, strict=True)]
    return pa.table(columns, schema=SCHEMA)


def open_member(path: str, offset: int, size: int) -> io.BytesIO:
    """Reads the content of a member of a tar file."""
    with open(path, "rb") as file:
        file.seek(offset)
        return io.BytesIO(file.read(size))
