"""Untrusted JSON files: limits on size and depth, and atomic writing."""

import os

import pytest

from nike.datasets.safe_json import json_depth, read_json, write_json
from nike.formatting import printable, short


def test_round_trip(tmp_path):
    value = {"a": [1, 2.5, None, True], "ü": "☃"}
    write_json(tmp_path / "new" / "a.json", value)
    assert read_json(tmp_path / "new" / "a.json") == value


def test_reads_a_byte_order_mark(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "a.json") == [1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xfe{", "byte 0 is not UTF-8"),
        (b"", "not valid JSON"),
        (b'{"a": ', "not valid JSON"),
        (b"[" * 1_000_000, "nested deeper than 64"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "nested deeper than 64"),
        (b"[" + b"1" * 5000 + b"]", "not valid JSON"),  # more digits than Python converts to a number
    ],
)
def test_invalid_files_are_rejected(tmp_path, data, message):
    (tmp_path / "bad.json").write_bytes(data)
    with pytest.raises(ValueError, match=message) as error:
        read_json(tmp_path / "bad.json")
    assert str(error.value).startswith("bad.json: ")


def test_size_limit(tmp_path):
    (tmp_path / "a.json").write_bytes(b"[1, 2, 3]")
    with pytest.raises(ValueError, match="larger than 8 bytes"):
        read_json(tmp_path / "a.json", max_bytes=8)
    assert read_json(tmp_path / "a.json", max_bytes=9) == [1, 2, 3]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(ValueError, match="expected a file"):
        read_json(tmp_path / "a.json")


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_json(tmp_path / "a.json")


def test_depth_ignores_strings():
    assert json_depth(b'{"a": [[1], "[[[[", "\\"[[[", "\\\\"]}') == 3
    assert json_depth(b'"]]]]" [[') == 2  # brackets in strings do not hide real ones
    assert json_depth(b'["' + b'\\"[' * 50_000) == 1  # an unterminated string takes linear time


def test_messages_are_printable_and_short():
    assert printable("a\x1b[31m\ud800\n") == "a\\x1b[31m\\ud800\\n"
    assert len(short([[[[[["x" * 10_000]]]]] * 1000])) <= 120


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, 1)
    with pytest.raises(ValueError):
        write_json(path, float("nan"))
    assert read_json(path) == 1
    assert os.listdir(tmp_path) == ["a.json"]
