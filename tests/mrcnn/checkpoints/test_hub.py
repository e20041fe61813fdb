"""Weights from `hf://owner/name`, downloaded with `huggingface_hub` from a server on the loopback interface."""

import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from hub_server import TOKEN, Repository, hub_server, use_server
from mrcnn.checkpoints.hub import HubError, HubReference, hub_weights, is_hub_reference, parse_hub_reference

pytest.importorskip("huggingface_hub", reason="pip install -e '.[test]' brings huggingface_hub")
DIGEST = "0123456789abcdef" * 4
WEIGHTS = b"\x89HDF weights"
OTHER = b"\x89HDF other weights"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Returns a server with the repository me/shoes, which contains one weights file, shoes.h5. The cache is empty."""
    with hub_server() as server:
        use_server(monkeypatch, server.url, tmp_path)
        server.repositories["me/shoes"] = Repository()
        server.repositories["me/shoes"].commit({"shoes.h5": WEIGHTS, "README.md": b"shoes"})
        yield server


@pytest.mark.parametrize(
    "text, expected",
    [
        ("hf://me/shoes", HubReference("me/shoes")),
        ("hf://me/shoes@v1.0", HubReference("me/shoes", "v1.0")),
        ("hf://me/shoes/best.h5", HubReference("me/shoes", None, "best.h5")),
        ("hf://me/shoes@v1/a b/best.hdf5", HubReference("me/shoes", "v1", "a b/best.hdf5")),
        (f"hf://me/shoes#sha256={DIGEST.upper()}", HubReference("me/shoes", sha256=DIGEST)),
        (f"hf://me/shoes@v1/x.npz#sha256={DIGEST}", HubReference("me/shoes", "v1", "x.npz", DIGEST)),
    ],
)
def test_references_are_parsed(text, expected):
    assert is_hub_reference(text)
    assert parse_hub_reference(text) == expected
    assert parse_hub_reference(str(expected)) == HubReference(expected.repository, expected.revision, expected.file)


@pytest.mark.parametrize(
    "text, message",
    [
        ("hf://shoes", "expected hf://owner/name"),
        ("hf://me/shoes@", "expected hf://owner/name"),
        ("hf://me/shoes@a b", "expected hf://owner/name"),
        ("hf://me/../x.h5", "expected hf://owner/name"),
        ("hf://me/shoes#sha256=12", "64 hexadecimal digits"),
        (f"hf://me/shoes#md5={DIGEST}", "expected hf://owner/name"),
        ("hf://me/shoes/../../etc/x.h5", "inside the repository"),
        ("hf://me/shoes//etc/x.h5", "inside the repository"),
        ("hf://me/shoes/model.pkl", r"expected a weights file \(.h5, .hdf5, .npz\), got 'model.pkl'"),
        ("hf://me/shoes/pytorch_model.bin", "expected a weights file"),
        ("hf://me/shoes/a\n.h5", "expected hf://owner/name"),
    ],
)
def test_invalid_references_are_user_errors(text, message):
    with pytest.raises(HubError, match=message) as caught:
        parse_hub_reference(text)
    assert "\n" not in str(caught.value)


def test_paths_are_not_references():
    assert not any(map(is_hub_reference, ["shoes.h5", "hf:/me/shoes", Path("hf://me/shoes"), "HF"]))


def test_the_only_weights_file_is_downloaded_once(hub):
    path = hub_weights("hf://me/shoes")
    assert path.name == "shoes.h5" and path.read_bytes() == WEIGHTS
    assert hub_weights("hf://me/shoes/shoes.h5") == path
    assert len([request for request in hub.requests if request.startswith("GET /me/shoes/resolve")]) == 1


def test_revisions_are_branches_tags_and_commits(hub):
    repository = hub.repositories["me/shoes"]
    first = repository.refs["v1"] = repository.refs["main"]
    repository.commit({"shoes.h5": OTHER})
    assert hub_weights("hf://me/shoes").read_bytes() == OTHER
    assert hub_weights("hf://me/shoes@v1").read_bytes() == WEIGHTS
    assert hub_weights(f"hf://me/shoes@{first}/shoes.h5").read_bytes() == WEIGHTS


def test_the_digest_of_the_reference_is_checked(hub):
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    assert hub_weights(f"hf://me/shoes#sha256={digest}").read_bytes() == WEIGHTS
    hub.repositories["me/shoes"].commit({"shoes.h5": OTHER})
    with pytest.raises(HubError, match=f"expected sha256 {digest}, got {hashlib.sha256(OTHER).hexdigest()}"):
        hub_weights(f"hf://me/shoes#sha256={digest}")


@pytest.mark.parametrize(
    "reference, message",
    [
        ("hf://me/nothing", "no such repository, or it is private. Check the name, or log in"),
        ("hf://me/nothing/x.h5", "no such repository, or it is private"),
        ("hf://me/shoes@v9", "no such branch, tag or commit"),
        ("hf://me/shoes@v9/shoes.h5", "no such branch, tag or commit"),
        ("hf://me/shoes/bags.h5", "the repository has no such file"),
    ],
)
def test_missing_repositories_files_and_revisions_are_one_line_errors(hub, reference, message):
    with pytest.raises(HubError, match=message) as caught:
        hub_weights(reference)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(reference)


def test_one_of_several_weights_files_must_be_named(hub):
    hub.repositories["me/shoes"].commit({"bags.h5": OTHER})
    with pytest.raises(HubError, match=r"got 2: bags.h5, shoes.h5. Append /FILE"):
        hub_weights("hf://me/shoes")
    assert hub_weights("hf://me/shoes/bags.h5").read_bytes() == OTHER


def test_pickles_are_not_downloaded(hub):
    repository = hub.repositories["me/evil"] = Repository()
    repository.commit({"model.pkl": pickle.dumps(print), "pytorch_model.bin": pickle.dumps(print)})
    with pytest.raises(HubError, match="expected one weights file .* got none"):
        hub_weights("hf://me/evil")
    assert not any("resolve" in request for request in hub.requests)


def test_private_repositories_need_the_token(hub, monkeypatch):
    hub.repositories["me/shoes"].private = True
    for reference in ("hf://me/shoes", "hf://me/shoes/shoes.h5"):
        with pytest.raises(HubError, match="no such repository, or it is private"):
            hub_weights(reference)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert hub_weights("hf://me/shoes").read_bytes() == WEIGHTS


def test_errors_for_gated_repositories_name_the_fix(hub):
    hub.repositories["me/shoes"].gated = True
    with pytest.raises(HubError, match="must be requested on its page"):
        hub_weights("hf://me/shoes/shoes.h5")


def test_the_cache_is_used_without_a_connection(hub, monkeypatch, tmp_path):
    with hub_server() as other:
        dead = other.url
    path = hub_weights("hf://me/shoes")
    use_server(monkeypatch, dead, tmp_path)
    assert hub_weights("hf://me/shoes") == path
    assert hub_weights("hf://me/shoes/shoes.h5") == path


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(HubError, match=r"hf://me/shoes: requires huggingface_hub. .* 'nike-mrcnn\[hub\]'"):
        hub_weights("hf://me/shoes")


def test_server_errors_are_one_line(hub):
    hub.failure = 418
    for reference in ("hf://me/shoes", "hf://me/shoes/shoes.h5"):
        with pytest.raises(HubError) as caught:
            hub_weights(reference)
        assert "\n" not in str(caught.value)


def test_the_environment_names_the_server_and_errors_exit_with_2(hub, tmp_path):
    """Runs the command in a process, where `huggingface_hub` reads HF_ENDPOINT and HF_HUB_OFFLINE."""
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    hub.repositories["me/shoes"].commit({"shoes.h5": (tmp_path / "empty.h5").read_bytes()})
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "nike", "push", "--dry-run"]
    for arguments, more, message in (
        (["hf://me/shoes", "me/copy"], {}, "shoes.h5: "),  # downloaded, and rejected because it contains no weights
        ([f"hf://me/shoes#sha256={DIGEST}", "me/copy"], {"HF_HUB_OFFLINE": "1"}, f"expected sha256 {DIGEST}"),
        (["hf://me/bags", "me/copy"], {"HF_HUB_OFFLINE": "1"}, "error: hf://me/bags: not in the cache"),
    ):
        done = subprocess.run([*command, *arguments], env=environment | more, capture_output=True, text=True)
        assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr
