"""The Python example in docs/proposals.md runs with the bundled weights."""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
(CODE,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "proposals.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_example_detects_in_the_given_boxes(tmp_path, monkeypatch):
    (tmp_path / "weights").symlink_to(ROOT / "weights")
    shutil.copy(ROOT / "nike" / "sample_data" / "val" / "synthetic_8_00002.jpg", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(CODE, "docs/proposals.md", "exec"), names)
    result = names["result"]
    assert len(result) and result.scores[0] > 0.9 and result.has_masks
    y1, x1, y2, x2 = names["boxes"][0]
    top, left, bottom, right = result.boxes[0]
    assert y1 - 20 < top < bottom < y2 + 20 and x1 - 20 < left < right < x2 + 20
