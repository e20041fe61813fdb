"""The wheel, built from the source distribution, contains weights and data and works without the repository.

If NIKE_TEST_INSTALL is set, the wheel is installed with its dependencies in a fresh virtual environment.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

import mrcnn

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "weights" / "mask_rcnn_nike.h5"


def build(kind: str, source: Path, output: Path) -> Path:
    """Runs a hook of the build backend in this environment, without network access."""
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(output)], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Deprecat" not in done.stderr, done.stderr
    return next(output.iterdir())


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Returns a folder with the content of the wheel, as installed by `pip`."""
    pytest.importorskip("setuptools", minversion="77", reason="pip install -e '.[test]' brings setuptools>=77")
    folder = tmp_path_factory.mktemp("build")
    source = folder / "source"  # a copy, because the build creates folders
    source.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "mrcnn", "nike", "weights"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    with tarfile.open(build("sdist", source, folder / "sdist")) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    with zipfile.ZipFile(build("wheel", next((folder / "unpacked").iterdir()), folder / "wheel")) as wheel:
        wheel.extractall(folder / "installed")
    return folder / "installed"


def test_it_has_the_bundled_weights(installed):
    copy = installed / "nike" / "weights" / WEIGHTS.name
    assert hashlib.sha256(copy.read_bytes()).digest() == hashlib.sha256(WEIGHTS.read_bytes()).digest()


def test_it_has_all_package_data(installed):
    data = {path.relative_to(ROOT) for path in (ROOT / "nike").rglob("*") if path.is_file()}
    data = {path for path in data if path.suffix not in (".py", ".pyc")}
    assert len(data) > 48  # 24 sample images, 24 labelme files, the logo and the recipes
    assert [path for path in data if not (installed / path).is_file()] == []
    assert (installed / "mrcnn" / "py.typed").is_file()


def test_its_command_and_extras_are_those_of_pyproject_toml(installed):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    information = next(installed.glob("*.dist-info"))
    assert "nike = nike.cli:main" in information.joinpath("entry_points.txt").read_text().splitlines()
    metadata = message_from_string(information.joinpath("METADATA").read_text(encoding="utf-8"))
    assert set(metadata.get_all("Provides-Extra")) == set(project["optional-dependencies"])
    assert len([line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]) == len(
        project["dependencies"]
    )
    assert metadata["Version"] == mrcnn.__version__


def test_its_licence_is_an_spdx_expression(installed):
    metadata = next(installed.glob("*.dist-info")).joinpath("METADATA").read_text(encoding="utf-8")
    assert "\nLicense-Expression: MIT\n" in metadata
    assert "License ::" not in metadata


def test_the_weights_are_found_without_the_repository(installed, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "MRCNN_WEIGHTS_DIR"}
    environment |= {"PYTHONPATH": str(installed), "XDG_CACHE_HOME": str(tmp_path)}
    code = "from nike.example import example_weights; print(example_weights())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == str(installed / "nike" / "weights" / WEIGHTS.name), done.stderr


@pytest.mark.skipif("NIKE_TEST_INSTALL" not in os.environ, reason="downloads packages; set NIKE_TEST_INSTALL=1")
def test_it_installs_and_detects_in_an_empty_environment(installed, tmp_path):
    (wheel,) = (installed.parent / "wheel").iterdir()
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MRCNN_WEIGHTS_DIR")}
    photo = ROOT / "nike" / "sample_data" / "val" / "synthetic_8_00001.jpg"
    for command in (
        [sys.executable, "-m", "venv", "venv"],
        ["venv/bin/pip", "install", "--quiet", str(wheel)],
        ["venv/bin/nike", "detect", str(photo), "--output", "found"],
    ):
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    assert len((tmp_path / "found" / "detections.csv").read_text().splitlines()) == 3
    assert (tmp_path / "found" / "overlay" / photo.name).is_file()
