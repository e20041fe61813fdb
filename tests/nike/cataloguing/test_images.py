"""Reading of images: status of every failure, retries, limits per host, size limits, private addresses."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("pyarrow", reason="pip install -e '.[catalogue]' brings it")

from mrcnn.inference.prefetch import prefetch_map
from nike.cataloguing.images import Limits, Reader, decode


def read(location, reader=None, **limits):
    reader = reader or Reader(Limits(allow_private=True, **limits), wait=lambda seconds: None)
    return decode(reader.read((0, {"id": "x", "location": location, "offset": None, "size": None})))


@pytest.mark.parametrize(
    "path, status, requests",
    [("1.jpg", "ok", 1), ("missing/1.jpg", "missing", 1), ("page/1.jpg", "not_an_image", 1)]
    + [("cut/1.jpg", "network", 3), ("noise/1.jpg", "undecodable", 1), ("busy/1.jpg", "ok", 3)],
)
def test_failures_have_a_status_and_transient_failures_are_retried(server, path, status, requests):
    image = read(f"{server.url}/{path}")
    assert (image.status, server.requests[f"/{path}"]) == (status, requests)
    assert (image.pixels is None) == (image.error is not None) == (status != "ok")
    assert image.data is None


def test_waits_increase_and_respect_retry_after(server):
    waits = []
    read(f"{server.url}/cut/1.jpg", Reader(Limits(allow_private=True, attempts=4), waits.append))
    assert len(waits) == 3 and all(low <= wait <= 3 * low for low, wait in zip((0.25, 0.5, 1), waits, strict=True))
    waits.clear()
    read(f"{server.url}/busy/2.jpg", Reader(Limits(allow_private=True), waits.append))
    assert waits == [7, 7]


def test_private_addresses_are_rejected_unless_allowed(server):
    image = read(f"{server.url}/1.jpg", Reader(Limits()))
    assert image.status == "refused" and "private address 127.0.0.1" in image.error and not server.requests


def test_limits_per_host_and_of_threads(server):
    reader = Reader(Limits(per_host=3, allow_private=True))
    with ThreadPoolExecutor(12) as pool:
        images = list(pool.map(lambda i: read(f"{server.url}/slow/{i}.jpg", reader), range(24)))
    assert {image.status for image in images} == {"ok"} and server.most_active == 3
    assert reader._hosts == {}  # idle hosts are removed, because millions of hosts would fill the memory


@pytest.mark.parametrize(
    "location, status",
    [(None, "no_location"), ("/no/such.jpg", "missing"), ("/dev/zero", "missing"), ("a\0b", "missing")]
    + [("ftp://a/1.jpg", "refused"), ("http://[bad/1.jpg", "refused"), ("http://\udcff/", "refused")],
)
def test_invalid_locations(location, status):
    assert read(location).status == status


def test_files_and_their_size(tmp_path):
    PIL.Image.new("RGB", (30, 20), (9, 9, 9)).save(tmp_path / "a.png")
    image = read(str(tmp_path / "a.png"))
    assert image.pixels.shape == (20, 30, 3) and image.bytes == (tmp_path / "a.png").stat().st_size
    (tmp_path / "big.jpg").write_bytes(bytes(2 << 20))
    assert read(str(tmp_path / "big.jpg"), max_bytes=1 << 20).status == "too_large"
    (tmp_path / "empty.jpg").touch()
    image = read(str(tmp_path / "empty.jpg"))
    assert image.status == "undecodable" and "empty" in image.error


def test_prefetch_map_keeps_the_order_and_its_distance():
    started, taken = [], 0

    def numbers():
        for i in range(40):
            started.append(i)
            yield i

    for result in prefetch_map(lambda i: np.sqrt(i), numbers(), 3):
        assert result == np.sqrt(taken)
        taken += 1
        assert len(started) <= taken + 4
    assert taken == 40
    with pytest.raises(ZeroDivisionError):
        list(prefetch_map(lambda i: 1 / i, [1, 0], 2))
