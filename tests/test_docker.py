"""The Dockerfile and compose.yaml install the packages of pyproject.toml and do not run the server as root.

If NIKE_TEST_INSTALL is set, the steps of the Dockerfile are executed in a fresh virtual environment without Docker.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_packages_have_the_bounds_of_the_metadata():
    wanted = re.findall(r'"([a-z-]+[><=]+[\d.]+)"', DOCKERFILE) + re.search(r'RUNTIME="(.*?)"\n', DOCKERFILE)[1].split()
    metadata = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert len(wanted) > 14
    assert [name for name in wanted if f'"{name.replace("tensorflow-cpu", "tensorflow")}"' not in metadata] == []


def test_the_build_context_contains_the_required_files():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {"setup.py", "pyproject.toml", "README.md", "LICENSE", "mrcnn", "nike", "weights"} == allowed
    assert all((ROOT / name).exists() for name in allowed)


def test_the_container_is_not_root_and_cannot_write():
    assert re.search(r"^USER 10001", DOCKERFILE, re.MULTILINE) and "HEALTHCHECK" in DOCKERFILE
    assert DOCKERFILE.index("USER ") < DOCKERFILE.index("ENTRYPOINT")
    service = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["nike"]
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["tmpfs"] == ["/tmp"]
    assert all(value is None for value in service["environment"].values())  # no secrets in the file
    assert int(service["stop_grace_period"].removesuffix("s")) > 65  # --timeout plus 5 seconds


def test_the_server_imports_the_packages_of_the_dockerfile_only():
    pytest.importorskip("fastapi", reason="pip install -e '.[serve,test]' brings FastAPI")
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    names = {re.match(r"[\w-]+", line)[0] for line in dependencies} - {"tensorflow"}
    absent = sorted(name for name in names if f"{name}>" not in DOCKERFILE)
    assert absent == ["fonttools", "imgaug", "opencv-python"]
    code = "import sys; sys.modules.update(cv2=None, imgaug=None, fontTools=None); "
    code += "import mrcnn.model, nike.serve, nike.serving.app"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif("NIKE_TEST_INSTALL" not in os.environ, reason="downloads packages; set NIKE_TEST_INSTALL=1")
def test_the_steps_in_a_fresh_environment(tmp_path):
    """Executes the RUN and COPY lines with TensorFlow, then the entry point with the environment of the image."""
    opt, src, runtime = tmp_path / "nike", tmp_path / "src", re.search(r'^ARG RUNTIME="(.*)"', DOCKERFILE, re.MULTILINE)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        src.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, src)
    for name in ("mrcnn", "nike", "weights"):
        shutil.copytree(ROOT / name, src / name, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"RUNTIME": runtime[1]}
    for step in re.findall(r"^RUN ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE):
        step = step.replace("python -m venv", f"{sys.executable} -m venv").replace("/opt/nike", str(opt))
        subprocess.run(step.replace(" /src", f" {src}"), shell=True, check=True, env=environment, cwd=tmp_path)
    variables = dict(re.findall(r"(\w+)=(\S+?)(?: \\)?$", DOCKERFILE.partition("ENV ")[2], re.MULTILINE))
    variables["PATH"] = f"{opt}/bin:/usr/bin:/bin"
    (tmp_path / "work").mkdir()
    entry = json.loads(re.search(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.MULTILINE)[1])
    check = json.loads(re.search(r"CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[1])
    server = subprocess.Popen(
        [f"{opt}/bin/{entry[0]}", *entry[1:], "--port", "8000"], env=variables, cwd=tmp_path / "work"
    )
    try:
        while server.poll() is None:
            time.sleep(1)
            if (
                subprocess.run([f"{opt}/bin/{check[0]}", *check[1:]], env=variables, capture_output=True).returncode
                == 0
            ):
                break
        photo = (ROOT / "nike" / "sample_data" / "val" / "synthetic_8_00001.jpg").read_bytes()
        with urllib.request.urlopen("http://127.0.0.1:8000/v1/detect", photo, timeout=60) as answer:
            assert len(json.loads(answer.read())["detections"]) == 2
    finally:
        server.terminate()
    assert server.wait(60) == 0 and list((tmp_path / "work").iterdir()) == []
