"""Fixture for the settings of a small network."""

import pytest

from tiny_config import TinyConfig


@pytest.fixture(scope="session")
def tiny_config():
    """Returns the class `TinyConfig`. Every test creates and changes its own instance."""
    return TinyConfig
