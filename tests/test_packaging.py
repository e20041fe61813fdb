"""The metadata in pyproject.toml, and files that duplicate parts of it."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import mrcnn

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
WORKING_SET = ("annotate", "notebooks", "test")  # extras whose packages requirements.txt may contain


def bounds(lines: list[str]) -> dict[str, str]:
    return {(requirement := Requirement(line)).name: str(requirement.specifier) for line in lines}


def test_requirements_txt_repeats_the_dependencies_with_their_bounds():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    listed = bounds([line for line in text.splitlines() if not line.startswith("#")])
    required = bounds(PROJECT["dependencies"])
    assert {name: listed.get(name) for name in required} == required
    optional = [(name, bound) for extra in WORKING_SET for name, bound in bounds(EXTRAS[extra]).items()]
    assert [item for item in listed.items() if item[0] not in required and item not in optional] == []


def test_a_package_has_one_lower_bound():
    """Extras may add an upper bound, as the extra `test` does for labelme."""
    found: dict[str, set[str]] = {}
    for lines in (PROJECT["dependencies"], *EXTRAS.values()):
        for name, bound in bounds(lines).items():
            found.setdefault(name, set()).update(re.findall(r">=[\d.]+", bound))
    assert {name: lower for name, lower in found.items() if len(lower) != 1} == {}


def test_setup_py_declares_no_metadata():
    call = (ROOT / "setup.py").read_text(encoding="utf-8").partition("\nsetup(")[2]
    assert re.findall(r"(\w+)=", call) == ["cmdclass"]


def test_the_version_is_that_of_the_library():
    assert PROJECT["dynamic"] == ["version"]
    assert PYPROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "mrcnn.__version__"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", mrcnn.__version__)


@pytest.mark.parametrize("target", PROJECT["scripts"].values())
def test_commands_point_at_functions(target):
    module, _, function = target.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_the_environment_of_make_is_rebuilt_when_the_metadata_change():
    rule = re.search(r"^\$\(VENV\)/\.installed: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert rule[1].split() == ["pyproject.toml", "setup.py"]


def test_supported_python_versions_are_those_that_make_tests():
    named = [c.rpartition(" :: ")[2] for c in PROJECT["classifiers"] if c.startswith("Programming Language :: Python")]
    tested = re.search(r"for version in ([\d. ]+);", (ROOT / "Makefile").read_text())[1].split()
    assert named == tested and PROJECT["requires-python"] == f">={named[0]}"
