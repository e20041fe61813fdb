"""Rotation and slant of a logo from its landmarks, and the settings in docs/keypoints.md."""

import re
from pathlib import Path

import numpy as np
import pytest

from nike.config import NikeConfig
from nike.datasets.config_file import read_config_file
from nike.landmarks import NAMES, rotation_and_slant
from nike.synthesis.logo import add_landmarks, load_logo
from nike.synthesis.placement import make_homography

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "keypoints.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("rotation", "slant"), [(0, 0), (25, 0), (-160, 0), (30, 20), (-10, -15)])
def test_rotation_and_slant_are_recovered(rotation, slant):
    landmarks = add_landmarks(load_logo()).landmarks
    matrix = make_homography((70, 40), (50, 50), np.radians(rotation), shear=np.tan(np.radians(slant)))[:2]
    points = np.array([landmarks[name] for name in NAMES]) @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(rotation_and_slant(np.column_stack([points, np.ones(3)])), (rotation, slant), atol=1e-6)


def test_the_settings_of_the_page_are_valid(tmp_path):
    (settings,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "keypoints.yaml").write_text(settings)
    config = NikeConfig.from_dict(read_config_file(tmp_path / "keypoints.yaml"))
    config.validate()
    assert tuple(config.KEYPOINT_NAMES) == NAMES
