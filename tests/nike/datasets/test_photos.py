"""Image files: search, size after EXIF rotation, and path checks."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mrcnn.data.image_files import read_image
from nike.datasets.photos import candidate_paths, find_files, find_first_file, is_inside, relative_name, upright_size

ORIENTATION = 0x0112


def turned(orientation: int, suffix: str) -> io.BytesIO:
    """Writes an image of 80 x 60 stored pixels with an EXIF orientation. The quarters have different grey levels."""
    pixels = np.kron(np.array([[0, 80], [160, 240]], np.uint8), np.ones((30, 40), np.uint8))
    exif, buffer = PIL.Image.Exif(), io.BytesIO()
    exif[ORIENTATION] = orientation
    PIL.Image.fromarray(pixels).save(buffer, suffix, exif=exif)
    return buffer


def chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_that_of_the_upright_image(orientation, suffix):
    buffer = turned(orientation, suffix)
    size = upright_size(io.BytesIO(buffer.getvalue()))
    assert size == read_image(buffer).shape[:2]
    assert size == ((80, 60) if orientation > 4 else (60, 80))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotation_equals_labelme(orientation):
    """A different rotation would give annotations wrong coordinates."""
    image = pytest.importorskip(
        "labelme.utils.image", reason="needs labelme: pip install labelme", exc_type=ImportError
    )
    buffer = turned(orientation, "JPEG")
    expected = np.asarray(image.apply_exif_orientation(PIL.Image.open(buffer)))
    np.testing.assert_array_equal(read_image(io.BytesIO(buffer.getvalue()))[:, :, 0], expected)


def test_exif_after_the_pixels_of_a_png():
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = 6
    data = turned(1, "PNG").getvalue()
    end = data.index(b"IEND") - 4
    late = data[:end] + chunk(b"eXIf", exif.tobytes()[6:]) + data[end:]
    early = data.index(b"eXIf") - 4
    late = late[:early] + late[early + 12 + int.from_bytes(data[early : early + 4], "big") :]
    assert upright_size(io.BytesIO(late)) == read_image(io.BytesIO(late)).shape[:2] == (80, 60)


def test_pixels_of_a_png_are_not_decoded(monkeypatch):
    data = io.BytesIO()
    PIL.Image.new("L", (80, 60)).save(data, "PNG")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: pytest.fail("decoded"))
    assert upright_size(data) == (60, 80)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"\xff" * 40, b"text"])
def test_missing_image(data):
    with pytest.raises(ValueError, match="not a readable photo"):
        upright_size(io.BytesIO(data))


def test_unreadable_files_have_no_size():
    file = io.BytesIO()
    PIL.Image.new("RGB", (8, 6)).save(file, "EPS")
    with pytest.raises(ValueError, match="not a readable photo"):
        upright_size(file)


def test_images_above_the_pixel_limit_of_pillow_have_a_size(monkeypatch, recwarn):
    """`read_image` accepts 200 megapixels, the size of some phone photos."""
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 89_478_485)
    header = (14_000).to_bytes(4, "big") * 2 + b"\x01\x00\x00\x00\x00"
    photo = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    assert upright_size(io.BytesIO(photo)) == (14_000, 14_000) and not recwarn.list


def test_a_decompression_bomb_is_rejected_by_its_header():
    header = (60_000).to_bytes(4, "big") * 2 + b"\x01\x00\x00\x00\x00"
    with pytest.raises(ValueError, match="not a readable photo"):
        upright_size(io.BytesIO(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")))


def test_find_files(folder):
    for name in ("b/2.JPG", "a.png", "b/1.jpeg", ".hidden/x.png", "._a.png"):
        folder.photo(name) if name[-3:] != "JPG" else folder.photo("x.jpg").replace(
            (folder.root / "b").mkdir() or folder.root / name
        )
    folder.json("a.json", {})
    assert [relative_name(path, folder.root) for path in find_files(folder.root)] == ["a.png", "b/1.jpeg", "b/2.JPG"]


@pytest.mark.parametrize(
    ("name", "candidates"),
    [
        ("a.jpg", ["a.jpg", "a.jpg"]),
        ("x\\y\\a.jpg", ["x/y/a.jpg", "a.jpg"]),
        ("C:\\x\\a.jpg", ["C:/x/a.jpg", "a.jpg"]),
        ("../a.jpg", ["../a.jpg", "a.jpg"]),
        ("", []),
        ("a" * 5000, []),
    ],
)
def test_names_with_backslashes_and_urls(name, candidates):
    assert candidate_paths(name) == [Path(candidate) for candidate in candidates]


def test_inside(tmp_path):
    (tmp_path / "in").mkdir()
    assert is_inside(tmp_path / "in" / "a", tmp_path / "in")
    assert not is_inside(tmp_path / "in" / ".." / "a", tmp_path / "in")
    assert not is_inside(tmp_path / "in\0", tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert find_first_file([tmp_path / "loop", tmp_path / "no\0", tmp_path / ("x" * 300)], tmp_path) == (None, False)


def test_a_huge_png_with_text_after_its_pixels_is_rejected_without_decoding(monkeypatch):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 65535, 65535, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"tEXt", b"a\0b")
    monkeypatch.setattr(PIL.PngImagePlugin.PngImageFile, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="65535x65535 pixels; expected at most"):
        upright_size(io.BytesIO(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")))
