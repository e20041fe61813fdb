"""Reading of ids and locations from every format, and one-line errors."""

import gzip
import io
import json
import tarfile

import pytest

pytest.importorskip("pyarrow", reason="pip install -e '.[catalogue]' brings it")
import pyarrow as pa
import pyarrow.parquet as pq

from nike.cataloguing.rows import BATCH, find_inputs, open_member, read_rows


def rows(*paths, **columns):
    inputs = find_inputs([str(path) for path in paths])
    return [row for table in read_rows(inputs, **columns) for row in table.to_pylist()]


def pairs(*paths, **columns):
    return [(row["id"], row["location"]) for row in rows(*paths, **columns)]


def test_tables_of_each_format(tmp_path):
    pq.write_table(pa.table({"id": [7, 8], "url": ["http://a/1.jpg", None]}), tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text('name,id,path\nx,007,p.jpg\n"y,z",8,\n')
    (tmp_path / "c.jsonl").write_text('{"id": 9, "url": "https://a/2.jpg"}\n\n{"id": "x", "url": null}\n')
    with gzip.open(tmp_path / "d.csv.gz", "wt") as file:
        file.write("id,url\n1,http://a/3.jpg\n")
    assert pairs(tmp_path / "a.parquet") == [("7", "http://a/1.jpg"), ("8", None)]
    assert pairs(tmp_path / "b.csv") == [("007", str(tmp_path / "p.jpg")), ("8", None)]  # leading zeros are kept
    assert pairs(tmp_path / "c.jsonl") == [("9", "https://a/2.jpg"), ("x", None)]
    assert pairs(tmp_path / "d.csv.gz") == [("1", "http://a/3.jpg")]


def test_line_breaks_in_quoted_cells(tmp_path):
    """The file is larger than the blocks of 1 MiB in which it is parsed, so blocks end inside of cells."""
    text = "<p>\n" * 1000
    (tmp_path / "shop.csv").write_text("id,text,url\n" + "".join(f'{i},"{text}",http://a/{i}\n' for i in range(600)))
    assert pairs(tmp_path / "shop.csv") == [(str(i), f"http://a/{i}") for i in range(600)]


def test_columns_are_chosen(tmp_path):
    (tmp_path / "a.csv").write_text("sku,image,id\ns1,http://a/1.jpg,5\n")
    assert pairs(tmp_path / "a.csv", id_column="sku", location_column="image") == [("s1", "http://a/1.jpg")]
    with pytest.raises(ValueError, match=r"a\.csv: expected a column named url or .* got columns sku, image, id"):
        rows(tmp_path / "a.csv")
    with pytest.raises(ValueError, match="expected a column 'key'"):
        rows(tmp_path / "a.csv", id_column="key", location_column="image")


def test_large_tables_come_in_batches(tmp_path):
    count = BATCH * 2 + 1
    pq.write_table(pa.table({"id": range(count), "url": ["http://a/x"] * count}), tmp_path / "a.parquet")
    tables = list(read_rows([tmp_path / "a.parquet"]))
    assert [len(table) for table in tables] == [BATCH, BATCH, 1]


def test_a_folder_and_its_tables(tmp_path, folder):
    folder.photo("sub/b.jpg")
    folder.photo("a.png")
    assert pairs(folder.root) == [("a.png", str(folder.root / "a.png")), ("sub/b.jpg", str(folder.root / "sub/b.jpg"))]
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.csv").write_text("id,url\n1,http://a\n")
    (tmp_path / "tables" / "b.csv").write_text("id,url\n2,http://b\n")
    with gzip.open(tmp_path / "tables" / "c.csv.gz", "wt") as file:
        file.write("id,url\n3,http://c\n")
    (tmp_path / "tables" / "notes.txt.gz").write_bytes(b"no table")
    assert pairs(tmp_path / "tables") == [("1", "http://a"), ("2", "http://b"), ("3", "http://c")]


def test_members_of_a_tar_file_are_read_at_their_position(tmp_path):
    contents = {"x/1.jpg": b"first", "x/1.json": b"{}", "x/._1.jpg": b"metadata of macOS", "x/2.PNG": b"the second"}
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    found = rows(tmp_path / "s.tar")
    assert [row["id"] for row in found] == ["s.tar/x/1.jpg", "s.tar/x/2.PNG"]
    data = [open_member(row["location"], row["offset"], row["size"]).getvalue() for row in found]
    assert data == [b"first", b"the second"]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.parquet", b"PAR1 no", r"a\.parquet: cannot be read as Parquet"),
        ("a.csv", b"id,url\n1,x,3\n", r"a\.csv: cannot be read as CSV"),
        ("a.csv", b"", r"a\.csv: cannot be read as CSV"),
        ("a.csv.gz", b"plain", r"a\.csv\.gz: cannot be read as CSV"),
        ("a.jsonl", b'{"id": 1, "url": "x"}\n[1]\n', r"a\.jsonl, line 2: expected a JSON object"),
        ("a.jsonl", b"[" * 100_000, r"a\.jsonl, line 1: expected a JSON object"),
        ("a.tar", b"x" * 2000, r"a\.tar: cannot be read as a tar file"),
        ("a.csv", b"id,url\n1,x\n,y\n", r"a\.csv, row 2: no id"),
        ("a.jsonl", json.dumps({"id": None, "url": "x"}).encode(), r"a\.jsonl, row 1: no id"),
        ("a.txt", b"", r"a\.txt: expected a folder, a \.tar file or a table"),
    ],
)
def test_errors_name_the_file(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        rows(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_missing_and_empty_inputs(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        find_inputs([str(tmp_path / "nothing.csv")])
    with pytest.raises(ValueError, match="no images, tables or tar files"):
        find_inputs([str(tmp_path)])
