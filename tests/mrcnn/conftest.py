"""Settings of a small network."""

import pytest

from tiny_config import TinyConfig


@pytest.fixture(scope="session")
def tiny_config():
    """The class `TinyConfig`; every test changes its own instance."""
    return TinyConfig
