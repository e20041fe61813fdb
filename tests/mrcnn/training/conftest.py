"""Fixture for the tiny network and its images."""

import pytest

import tiny_training


@pytest.fixture(scope="session")
def tiny():
    """Returns the module `tiny_training`."""
    return tiny_training
