"""The measurement in docs/keypoints.md recovers the rotation and the slant of a logo, and its settings are valid."""

import re
from pathlib import Path

import numpy as np
import pytest

from nike.config import NikeConfig
from nike.datasets.settings import read_settings_file
from nike.synthesis.placement import pose

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "keypoints.md").read_text(encoding="utf-8")
(SETTINGS,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
(CODE,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(("rotation", "slant"), [(0, 0), (25, 0), (-160, 0), (30, 20), (-10, -15)])
def test_rotation_and_slant_are_recovered(rotation, slant):
    names: dict = {}
    exec(compile(CODE, "docs/keypoints.md", "exec"), names)
    matrix = pose((70, 40), (50, 50), np.radians(rotation), shear=np.tan(np.radians(slant)))[:2]
    points = names["LOGO"] @ matrix[:, :2].T + matrix[:, 2]
    measured = names["measure"](np.column_stack([points, np.ones(3)]))
    np.testing.assert_allclose(measured, (rotation, slant), atol=1e-6)


def test_the_settings_are_valid(tmp_path):
    (tmp_path / "keypoints.yaml").write_text(SETTINGS)
    config = NikeConfig.from_dict(read_settings_file(tmp_path / "keypoints.yaml"))
    config.validate()
    assert list(config.KEYPOINT_NAMES) == ["hook", "belly", "tail"]
