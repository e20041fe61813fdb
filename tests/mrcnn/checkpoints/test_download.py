"""Downloads from a local server, including interrupted transfers and wrong responses."""

import inspect
import socket
import urllib.request

import numpy as np
import pytest

from mrcnn.checkpoints import CheckpointError, WeightsNotFoundError, coco_weights, download, download_trained_weights
from mrcnn.checkpoints import download as function
from mrcnn.checkpoints.layout import matterport_order

module = inspect.getmodule(function)


def check_fails(server, path, message, **options):
    """Checks that the error contains the reason, the URL and the destination, and that no file is left at `path`."""
    with pytest.raises(WeightsNotFoundError, match=message) as error:
        download(server.url, path, verbose=False, **options)
    text = str(error.value)
    assert "\n" not in text and f"Download {server.url} and save it as {path}." in text
    assert isinstance(error.value, FileNotFoundError) and not path.exists()


@pytest.fixture
def dead_url():
    """Returns a local URL without a server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return f"http://127.0.0.1:{port}/file.h5"


def test_whole_file(server, tmp_path):
    path = tmp_path / "new" / "file.h5"
    assert download(server.url, path, len(server.content), verbose=False) == path
    assert path.read_bytes() == server.content and server.ranges == [None]
    assert [file.name for file in path.parent.iterdir()] == ["file.h5"]


def test_progress_bar(server, tmp_path, capsys):
    download(server.url, tmp_path / "file.h5", verbose=True)
    assert "file.h5: 100%" in capsys.readouterr().err
    download(server.url, tmp_path / "quiet.h5", verbose=False)
    assert capsys.readouterr().err == ""


def test_interrupted_response_is_resumed(server, tmp_path):
    server.bytes_per_answer = 4000
    path = download(server.url, tmp_path / "file.h5", verbose=False)
    assert path.read_bytes() == server.content
    assert server.ranges == [None, "bytes=4000-", "bytes=8000-"]


def test_next_call_resumes_the_download(server, tmp_path):
    path, part = tmp_path / "file.h5", tmp_path / "file.h5.part"
    part.write_bytes(server.content[:1000])
    server.bytes_per_answer = 0
    check_fails(server, path, "connection lost after 1,000 of 10,240 bytes")
    assert part.stat().st_size == 1000
    server.bytes_per_answer = None
    assert download(server.url, path, verbose=False).read_bytes() == server.content
    assert server.ranges[-1] == "bytes=1000-"


def test_server_without_range_support_restarts_the_download(server, tmp_path):
    (tmp_path / "file.h5.part").write_bytes(b"x" * 1000)
    server.supports_range = False
    assert download(server.url, tmp_path / "file.h5", verbose=False).read_bytes() == server.content
    assert server.ranges == ["bytes=1000-"]


def test_complete_partial_file_is_only_verified(server, tmp_path):
    (tmp_path / "file.h5.part").write_bytes(server.content)
    assert download(server.url, tmp_path / "file.h5", len(server.content), verbose=False).read_bytes() == server.content
    assert server.ranges == []


@pytest.mark.parametrize("size", [99, 20_000, 10_240])
def test_partial_file_of_another_file_is_discarded(server, tmp_path, size):
    def verify(path):
        if path.read_bytes() != server.content:
            raise ValueError("not the file")

    (tmp_path / "file.h5.part").write_bytes(b"x" * size)
    path = download(server.url, tmp_path / "file.h5", 10_240, verify, verbose=False)
    assert path.read_bytes() == server.content


def test_wrong_size(server, tmp_path):
    check_fails(server, tmp_path / "file.h5", "expected 99 bytes, the server reports 10,240", expected_size=99)
    assert server.ranges == [None] and not (tmp_path / "file.h5.part").exists()


def test_html_page(server, tmp_path):
    server.content_type = "text/html; charset=utf-8"
    check_fails(server, tmp_path / "file.h5", "got an HTML page")
    assert list(tmp_path.iterdir()) == []


def test_failed_verification(server, tmp_path):
    def verify(path):
        raise ValueError("it is not HDF5.")

    check_fails(server, tmp_path / "file.h5", r"\(it is not HDF5\)", verify=verify)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [403, 404, 500])
def test_http_error_status(server, tmp_path, status):
    server.status = status
    check_fails(server, tmp_path / "file.h5", f"HTTP status {status}")
    assert len(server.ranges) == 1


def test_no_server(tmp_path, dead_url):
    with pytest.raises(WeightsNotFoundError, match=f"refused.*Download {dead_url} and save it as"):
        download(dead_url, tmp_path / "file.h5", verbose=False)


@pytest.mark.parametrize("location", ["file:///etc/hostname", "ftp://127.0.0.1/x"])
def test_redirects_to_other_schemes_are_rejected(server, tmp_path, location):
    server.status, server.location = 302, location
    check_fails(server, tmp_path / "file.h5", "not allowed|unknown url type")


def test_redirects_from_https_to_http_are_rejected():
    request = urllib.request.Request("https://host/file.h5")
    redirect = module._SecureRedirects().redirect_request
    with pytest.raises(ValueError, match="insecure address http://host/file.h5"):
        redirect(request, None, 302, "Found", {}, "http://host/file.h5")
    assert redirect(request, None, 302, "Found", {}, "https://other/file.h5").full_url == "https://other/file.h5"


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://host/x", "weights.h5"])
def test_only_http_urls_are_accepted(tmp_path, url):
    with pytest.raises(ValueError, match="http or https"):
        download(url, tmp_path / "x", verbose=False)


def test_existing_file_is_kept_until_the_download_is_complete(server, tmp_path):
    path = tmp_path / "file.h5"
    path.write_bytes(b"old")
    server.status = 404
    with pytest.raises(WeightsNotFoundError):
        download(server.url, path, verbose=False)
    assert path.read_bytes() == b"old"


def test_folder_cannot_be_created(server, tmp_path):
    (tmp_path / "file").touch()
    check_fails(server, tmp_path / "file" / "file.h5", "could not be downloaded")


@pytest.fixture
def coco(server, write_h5, monkeypatch):
    """Serves a small file with the layers of the COCO weights."""
    layers = {name: {f"{name}/bias:0": np.zeros(81)} for name in matterport_order()}
    server.content = write_h5(layers, "on_server.h5").read_bytes()
    monkeypatch.setattr(module, "COCO_URL", server.url)
    monkeypatch.setattr(module, "COCO_BYTES", len(server.content))
    return server


def test_coco_weights_are_downloaded_once(coco, weights_folder):
    path = coco_weights()
    assert path == weights_folder / "mask_rcnn_coco.h5"
    assert coco_weights() == path and len(coco.ranges) == 1


def test_coco_weights_with_missing_layers(coco, write_h5, weights_folder):
    write_h5({"conv1": {"conv1/bias:0": np.zeros(1)}}, "mask_rcnn_coco.h5")
    with pytest.raises(CheckpointError, match="missing layers: res4w_branch2a.*Delete the file"):
        coco_weights()


def test_download_trained_weights(coco, tmp_path, capsys):
    assert download_trained_weights(str(tmp_path / "mask_rcnn_coco.h5"), verbose=0) is None
    assert (tmp_path / "mask_rcnn_coco.h5").read_bytes() == coco.content
    assert capsys.readouterr().err == ""


def test_error_without_network_has_the_destination(weights_folder, monkeypatch, dead_url):
    monkeypatch.setattr(module, "COCO_URL", dead_url)
    with pytest.raises(WeightsNotFoundError, match=rf"save it as {weights_folder}.mask_rcnn_coco\.h5\.$"):
        coco_weights()


def test_coco_url():
    assert module.COCO_URL == "https://github.com/matterport/Mask_RCNN/releases/download/v2.0/mask_rcnn_coco.h5"
    assert module.COCO_BYTES == 257557808
