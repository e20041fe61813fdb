"""Atomic writing: files appear completely or not at all."""

import pytest

from mrcnn.atomic import replacing


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_when_the_block_ends(tmp_path, durable):
    path = tmp_path / "new" / f"{'ä' * 120}.txt"  # 244 bytes; file systems allow 255
    for text in ("first", "second"):
        with replacing(path, durable) as temporary:
            assert temporary.parent == path.parent and temporary.suffix == ".txt"
            temporary.write_text(text)
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_keeps_the_earlier_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("earlier")
    with pytest.raises(ValueError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ValueError
    assert path.read_text() == "earlier" and list(tmp_path.iterdir()) == [path]
