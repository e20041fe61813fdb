"""The tiny network and photos, as a module."""

import importlib.util
import pathlib

import pytest

FILE = pathlib.Path(__file__).with_name("tiny_training.py")


@pytest.fixture(scope="session")
def tiny():
    """The module `tiny_training`."""
    spec = importlib.util.spec_from_file_location("tiny_training", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
