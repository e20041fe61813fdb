"""The release workflow builds once, tests before it publishes, and gives each job only the permissions it needs."""

import re
import tomllib
from pathlib import Path

import yaml

import mrcnn
from nike import cli, detect

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load(TEXT)
JOBS = WORKFLOW["jobs"]


def actions(job):
    return [step["uses"].partition("@")[0] for step in JOBS[job]["steps"] if "uses" in step]


def commands(job):
    return "\n".join(step["run"] for step in JOBS[job]["steps"] if "run" in step)


def test_only_a_tag_publishes_and_only_after_the_tests():
    triggers = WORKFLOW[True]  # YAML 1.1 reads `on` as true
    assert triggers == {"push": {"tags": ["v*"]}, "workflow_dispatch": None}
    assert JOBS["test"]["needs"] == "build" and set(JOBS["publish"]["needs"]) == {"build", "test"}
    assert JOBS["publish"]["if"] == "github.event_name == 'push' && github.ref_type == 'tag'"


def test_the_files_are_built_once():
    assert [job for job in JOBS if "python -m build" in commands(job)] == ["build"]
    for job in ("test", "publish"):
        assert "actions/download-artifact" in actions(job) and "actions/checkout" not in actions(job)


def test_each_job_has_only_the_permissions_that_it_needs():
    assert WORKFLOW["permissions"] == {}
    rights = {name: job["permissions"] for name, job in JOBS.items()}
    assert rights["build"] == {"contents": "read"} and rights["test"] == {}
    assert rights["publish"] == {"id-token": "write", "attestations": "write"}
    assert "secrets." not in TEXT and "password:" not in TEXT


def test_publishing_is_trusted_and_attested():
    assert JOBS["publish"]["environment"] == "pypi"
    assert {"actions/attest-build-provenance", "pypa/gh-action-pypi-publish"} <= set(actions("publish"))
    # No command of the repository has the permission to publish.
    assert "run" not in {key for step in JOBS["publish"]["steps"] for key in step}


def test_the_wheel_is_tested_on_every_supported_python():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [c.rpartition(" :: ")[2] for c in project["classifiers"] if c.startswith("Programming Language :: Python")]
    assert JOBS["test"]["strategy"]["matrix"]["python"] == named
    assert "pip install dist/*.whl" in commands("test")


def test_the_commands_of_the_test_exist():
    (line,) = re.findall(r"nike detect .*", commands("test"))
    parsed = cli.parser("detect", detect.add_arguments).parse_args(line.split()[2:])
    assert str(parsed.output) == "found"
    (photo,) = set(re.findall(r"synthetic_\w+\.jpg", commands("test")))
    assert (ROOT / "nike" / "sample_data" / "val" / photo).is_file()


def test_the_version_of_the_tag_is_read_from_the_source():
    (pattern,) = re.findall(r"s/\^(.*?)/\\1/p", commands("build"))
    expression = pattern.replace(r"\(", "(").replace(r"\)", ")")
    source = (ROOT / "mrcnn" / "__init__.py").read_text(encoding="utf-8")
    assert re.findall(rf"^{expression}$", source, re.MULTILINE) == [mrcnn.__version__]
