"""Malicious uploads: the server responds with 4xx without delay and keeps running."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from nike.serving.images import UnusableImageError, decode_image
from nike.serving.limits import Limits

BOX = (5, 10, 25, 30)
PIXELS = 1_000_000
ROUNDS = 1500  # number of mutated files; `python -m tests.nike.serving.test_hostile_uploads 100000` tests more


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *more, pixels=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + b"".join(more) + chunk(b"IEND", b"")


def encoded(kind, **options):
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.full((60, 80, 3), 120, np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()


ZEROS = zlib.compress(bytes(50_000_000), 9)  # 50 MB compressed to 50 kB
HOSTILE = {
    "empty": b"",
    "text": b"GET / HTTP/1.1\r\n\r\n",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(x) run\n",
    "zip": b"PK\x03\x04" + bytes(100),
    "pdf": b"%PDF-1.7\n" + bytes(100),
    "png of 4 gigapixels": png(65535, 65535, pixels=ZEROS),
    "png with text after a bomb": png(65535, 65535, chunk(b"zTXt", b"Comment\0\0" + ZEROS), pixels=ZEROS),
    "png of size zero": png(0, 0),
    "png with too few pixels": png(500, 500, pixels=zlib.compress(b"0" * 100)),
    "png with a text bomb": png(10, 10, chunk(b"zTXt", b"Comment\0\0" + ZEROS), pixels=zlib.compress(bytes(310)))[:-30],
    "truncated jpeg": encoded("JPEG")[:200],
    "truncated webp": encoded("WEBP")[:40],
    "truncated tiff": encoded("TIFF")[:100],
    "gif of 4 gigapixels": b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(50),
    "bmp of 4 gigapixels": b"BM" + struct.pack("<IHHIIiiHH", 100, 0, 0, 54, 40, 65535, 65535, 1, 24) + bytes(60),
    "ppm of many digits": b"P6 " + b"9" * 5000 + b" 1 255\n",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files(serve, gate, photo, data):
    client = serve(Limits(pixels=PIXELS))
    answer = client.post("/v1/detect", content=data)
    assert answer.status_code in (413, 422) and answer.json()["detail"].startswith("image: "), answer.text
    assert gate.batches == []
    assert client.post("/v1/detect", content=photo(BOX)).status_code == 200


@pytest.mark.parametrize(
    "path, body, kind",
    [
        ("/v1/predict", b"[" * 100_000, "application/json"),
        ("/v1/predict", b'{"a":' * 100_000, "application/json"),
        ("/v1/predict", b'{"model": "nike", "image": 5}', "application/json"),
        ("/v1/predict", b'{"model": "nike", "image": "", "params": {"conf_threshold": NaN}}', "application/json"),
        ("/v1/predict", b"\xff\xfe", "application/json"),
        ("/predict", b'{"tasks": "x", "label_config": ""}', "application/json"),
        ("/predict", b'{"tasks": [' + b"{}," * 1001 + b'{}], "label_config": ""}', "application/json"),
        ("/setup", b"null", "application/json"),
        ("/webhook", b"1", "application/json"),
        ("/v1/detect", b"--x\r\n", "multipart/form-data; boundary=x"),
        ("/v1/detect", b"nothing", "multipart/form-data"),
        (
            "/v1/detect",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n' * 20,
            "multipart/form-data; boundary=x",
        ),
        ("/v1/detect?format=exe", b"x", "image/png"),
        ("/v1/detect?min_confidence=nan", b"x", "image/png"),
        ("/v1/detect?name=" + "a" * 300, b"x", "image/png"),
        ("/", b"x", "image/png"),
    ],
)
def test_hostile_requests(serve, gate, path, body, kind):
    answer = serve().post(path, content=body, headers={"Content-Type": kind})
    assert 400 <= answer.status_code < 500, answer.text
    assert gate.batches == []


def mutated(rng, originals):
    """Returns one of the files with changed, removed or repeated bytes."""
    data = bytearray(originals[rng.integers(len(originals))])
    for _ in range(rng.integers(1, 12)):
        at = int(rng.integers(len(data)))
        match rng.integers(4):
            case 0:
                data[at] = rng.integers(256)
            case 1:
                del data[at : at + int(rng.integers(1, 64))]
            case 2:
                data[at:at] = rng.bytes(rng.integers(1, 64))
            case _:
                data[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"])
        if not data:
            break
    return bytes(data)


def fuzz(repeats):
    """Decodes mutated files and returns the number of accepted files."""
    rng = np.random.default_rng(0)
    originals = [encoded(kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")]
    accepted = 0
    for _ in range(repeats):
        try:
            image = decode_image(mutated(rng, originals), PIXELS)
        except UnusableImageError as error:
            assert error.status in (413, 422)
            continue
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        assert image.shape[0] * image.shape[1] <= PIXELS
        accepted += 1
    return accepted


def test_mutated_files_are_decoded_or_rejected():
    assert 0 < fuzz(ROUNDS) < ROUNDS
