"""The commands of docs/scaling.md for training on several machines set the correct TF_CONFIG on each machine."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scaling.md"
FAKES = {
    "nike": 'echo "$TF_CONFIG"',
    "scontrol": "printf 'n1\\nn2\\n'",
    "srun": 'SLURM_PROCID=0 "$@"; SLURM_PROCID=1 "$@"',
}


def block(language, text):
    return next(b for name, b in re.findall(r"^```(\w*)\n(.*?)^```", PAGE.read_text(), re.M | re.S) if text in b)


@pytest.fixture
def shell(tmp_path):
    """Returns a function that runs a script in which `nike` prints TF_CONFIG, and returns the parsed values."""
    for name, code in FAKES.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{code}\n")
        (tmp_path / name).chmod(0o755)

    def run(script, program="bash", **variables):
        environment = os.environ | variables | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run([program, "-c", script], env=environment, capture_output=True, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def expected(index, *workers):
    return {"cluster": {"worker": [f"{name}:12345" for name in workers]}, "task": {"type": "worker", "index": index}}


def test_two_hosts(shell):
    assert shell(block("", "host-a")) == [expected(0, "host-a", "host-b")]


def test_slurm(shell):
    script = block("bash", "#SBATCH")
    assert shell(script, SLURM_JOB_NODELIST="n[1-2]") == [expected(0, "n1", "n2"), expected(1, "n1", "n2")]


def test_kubernetes(shell):
    container = yaml.safe_load(block("yaml", "kind: Job"))["spec"]["template"]["spec"]["containers"][0]
    (script,) = container["args"]
    found = shell(script, container["command"][0], JOB_COMPLETION_INDEX="1")
    assert found == [expected(1, "train-0.train", "train-1.train")]
