"""The Dockerfile and compose.yaml: their packages are those of pyproject.toml, and nothing runs as root."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_packages_have_the_bounds_of_the_metadata():
    wanted = re.findall(r'"([a-z-]+[><=]+[\d.]+)"', DOCKERFILE) + re.search(r'RUNTIME="(.*?)"\n', DOCKERFILE)[1].split()
    metadata = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert len(wanted) > 14
    assert [name for name in wanted if f'"{name.replace("tensorflow-cpu", "tensorflow")}"' not in metadata] == []


def test_the_build_context_has_what_the_build_needs():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {"setup.py", "pyproject.toml", "README.md", "LICENSE", "mrcnn", "nike", "weights"} == allowed
    assert all((ROOT / name).exists() for name in allowed)


def test_the_container_is_not_root_and_cannot_write():
    assert re.search(r"^USER 10001", DOCKERFILE, re.MULTILINE) and "HEALTHCHECK" in DOCKERFILE
    assert DOCKERFILE.index("USER ") < DOCKERFILE.index("ENTRYPOINT")
    service = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["nike"]
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["tmpfs"] == ["/tmp"]
    assert all(value is None for value in service["environment"].values())  # no secrets in the file
    assert int(service["stop_grace_period"].removesuffix("s")) > 65  # --timeout and 5 seconds
