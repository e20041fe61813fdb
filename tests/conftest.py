"""Reference arrays for tests: small ones lie in `tests/golden`, big ones in a folder that not every machine has."""

import functools
import json
import os
import pathlib

import numpy as np
import pytest

HERE = pathlib.Path(__file__).resolve().parent
FOLDERS = [HERE / "golden", os.environ.get("MRCNN_GOLDEN"), HERE.parents[1] / "shared" / "golden"]


def find_golden(name: str) -> pathlib.Path:
    """Path of a reference file; the test is skipped where it is missing."""
    for folder in filter(None, FOLDERS):
        path = pathlib.Path(folder) / name
        if path.is_file():
            return path
    pytest.skip(f"reference file {name} is not on this machine; point MRCNN_GOLDEN at the folder that has it")


@pytest.fixture(scope="session")
def golden_path():
    """`golden_path(name)`: path of a reference file."""
    return find_golden


@pytest.fixture(scope="session")
def golden():
    """`golden(name)`: content of a reference file, arrays by name of an `.npz` or the parsed `.json`."""

    @functools.cache
    def load(name: str):
        path = find_golden(name)
        return json.loads(path.read_text()) if path.suffix == ".json" else np.load(path)

    return load


@pytest.fixture
def rng():
    """A seeded random generator."""
    return np.random.default_rng(0)
