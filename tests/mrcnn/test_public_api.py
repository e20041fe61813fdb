"""Public names of `mrcnn`, which are imported at first use."""

import subprocess
import sys

import pytest

import mrcnn


@pytest.mark.parametrize("name", ["Config", "Dataset", "Detections", "MaskRCNN"])
def test_public_names(name):
    assert getattr(mrcnn, name).__name__ == name and name in dir(mrcnn) and name in mrcnn.__all__


def test_unknown_name():
    with pytest.raises(AttributeError, match="'mrcnn' has no attribute 'Mask'"):
        _ = mrcnn.Mask


def test_light_names_do_not_import_tensorflow():
    code = (
        "import sys; from mrcnn import Config, Dataset, Detections; print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
