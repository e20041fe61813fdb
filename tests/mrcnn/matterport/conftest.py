"""Fixtures with the in-memory datasets of the tests of `mrcnn.data`."""

import importlib.util
from pathlib import Path

SPEC = importlib.util.spec_from_file_location("data_fixtures", Path(__file__).parents[1] / "data" / "conftest.py")
fixtures = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(fixtures)

squares, dataset_of, small_config = fixtures.squares, fixtures.dataset_of, fixtures.small_config
golden_dataset, golden_config = fixtures.golden_dataset, fixtures.golden_config
