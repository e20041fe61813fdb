"""read_image and as_rgb: all image formats, and errors that name the file and the fix."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features

from mrcnn.data import image_files
from mrcnn.data.image_files import as_rgb, read_image

COLORS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]], [[9, 99, 200], [0, 0, 0]]], np.uint8)
GREY = np.array([[0, 100], [200, 255], [7, 70]], np.uint8)


def save(path, pixels, **kwargs):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **kwargs)
    return path


class TestFormats:
    @pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "ppm"])
    def test_rgb(self, tmp_path, suffix):
        pixels = read_image(save(tmp_path / f"a.{suffix}", COLORS, **({"lossless": True} if suffix == "webp" else {})))
        assert pixels.dtype == np.uint8 and pixels.flags.writeable and pixels.flags.c_contiguous
        np.testing.assert_array_equal(pixels, COLORS)

    @pytest.mark.parametrize("kind", ["JPEG", "MPO", "JPEG2000", "GIF", "AVIF"])
    def test_other_formats(self, tmp_path, kind):
        if kind == "AVIF" and not features.check("avif"):
            pytest.skip("this Pillow is built without AVIF")
        more = {"save_all": True, "append_images": [Image.new("RGB", (8, 6))]} if kind == "MPO" else {}
        path = save(tmp_path / "photo", Image.new("RGB", (8, 6), (200, 200, 200)), format=kind, **more)
        pixels = read_image(path)
        assert pixels.shape == (6, 8, 3) and np.abs(pixels.astype(int) - 200).max() <= 3

    def test_path_string_and_open_file(self, tmp_path):
        path = save(tmp_path / "a.png", COLORS)
        np.testing.assert_array_equal(read_image(str(path)), COLORS)
        with open(path, "rb") as file:
            np.testing.assert_array_equal(read_image(file), COLORS)
        np.testing.assert_array_equal(read_image(io.BytesIO(path.read_bytes())), COLORS)

    def test_greyscale_is_repeated_in_three_channels(self, tmp_path):
        path = save(tmp_path / "a.png", GREY)
        np.testing.assert_array_equal(read_image(path), np.stack([GREY] * 3, axis=-1))

    def test_transparency_is_dropped(self, tmp_path):
        alpha = np.full((3, 2, 1), 10, np.uint8)
        rgba = save(tmp_path / "rgba.png", np.concatenate([COLORS, alpha], axis=2))
        np.testing.assert_array_equal(read_image(rgba), COLORS)
        la = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha[:, :, 0])])
        np.testing.assert_array_equal(read_image(save(tmp_path / "la.png", la))[:, :, 1], GREY)

    @pytest.mark.parametrize("transparency", [None, 0, b"\x00\x80\xff\xff\xff\xff"], ids=["no", "one", "many"])
    def test_palette(self, tmp_path, transparency, recwarn):
        image = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(3, 2), "P")
        image.putpalette(COLORS.reshape(-1).tolist())
        kwargs = {} if transparency is None else {"transparency": transparency}
        np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", image, **kwargs)), COLORS)
        assert not [warning for warning in recwarn if "ransparen" in str(warning.message)]

    def test_one_bit_images(self, tmp_path):
        path = save(tmp_path / "a.png", Image.fromarray(GREY > 100))
        np.testing.assert_array_equal(read_image(path)[:, :, 0], np.where(GREY > 100, 255, 0))

    @pytest.mark.parametrize("suffix", ["png", "tif"])
    def test_sixteen_bits_are_reduced_to_the_upper_eight(self, tmp_path, suffix):
        path = save(tmp_path / f"a.{suffix}", GREY.astype(np.uint16) * 256 + 255)
        np.testing.assert_array_equal(read_image(path)[:, :, 2], GREY)

    def test_sixteen_bits_stored_in_thirty_two(self, tmp_path):
        path = save(tmp_path / "a.tif", GREY.astype(np.int32) * 256)
        np.testing.assert_array_equal(read_image(path)[:, :, 0], GREY)
        save(path, GREY.astype(np.int32) << 16)
        with pytest.raises(ValueError, match=r"a\.tif: expected integers in 0\.\.255"):
            read_image(path)

    @pytest.mark.parametrize("scale", [1, 255])
    def test_float_tiff(self, tmp_path, scale):
        path = save(tmp_path / "a.tif", (GREY / np.float32(scale)).astype(np.float32))
        np.testing.assert_array_equal(read_image(path)[:, :, 0], GREY)

    def test_cmyk(self, tmp_path):
        path = save(tmp_path / "a.tif", Image.fromarray(COLORS).convert("CMYK"))
        np.testing.assert_array_equal(read_image(path), COLORS)

    def test_the_first_of_several_frames_is_read(self, tmp_path):
        first, second = Image.fromarray(COLORS), Image.fromarray(255 - COLORS)
        np.testing.assert_array_equal(
            read_image(save(tmp_path / "a.tif", first, save_all=True, append_images=[second])), COLORS
        )

    @pytest.mark.parametrize("channels, expected", [(1, GREY[:, :, None]), (3, np.stack([GREY] * 3, axis=-1))])
    def test_channels(self, tmp_path, channels, expected):
        np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", GREY), channels), expected)

    def test_four_channels_keep_alpha(self, tmp_path):
        rgba = np.concatenate([COLORS, GREY[:, :, None]], axis=2)
        np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", rgba), 4), rgba)
        assert (read_image(save(tmp_path / "b.png", COLORS), 4)[:, :, 3] == 255).all()
        with pytest.raises(ValueError, match="channels must be 1, 3 or 4, got 5"):
            read_image(tmp_path / "a.png", 5)


class TestOrientation:
    # Transformations that display a stored image upright, from the table in the EXIF standard.
    UPRIGHT = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a),
    }

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("pixels", [COLORS, GREY.astype(np.uint16) * 256], ids=["rgb", "16bit"])
    def test_exif_orientation_is_applied(self, tmp_path, orientation, pixels):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = save(tmp_path / "a.png", pixels, exif=exif)
        np.testing.assert_array_equal(read_image(path), as_rgb(self.UPRIGHT[orientation](pixels)))

    @pytest.mark.filterwarnings("ignore::UserWarning:PIL")
    @pytest.mark.parametrize("exif", [b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0nonsense", b"\0" * 40])
    def test_damaged_exif_is_ignored(self, tmp_path, exif):
        path = save(tmp_path / "a.jpg", np.full((8, 8, 3), 128, np.uint8), exif=exif)
        assert (read_image(path) == 128).all()

    def test_exif_that_pillow_cannot_parse_is_ignored(self, tmp_path, monkeypatch):
        def getexif(self):
            raise SyntaxError("not a TIFF file")

        path = save(tmp_path / "a.bmp", COLORS)
        monkeypatch.setattr(Image.Image, "getexif", getexif)
        np.testing.assert_array_equal(read_image(path), COLORS)

    def test_unknown_orientation_is_ignored(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 77
        np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", COLORS, exif=exif)), COLORS)


def png_of(width, height):
    """Returns a tiny PNG file with the given large size in its header."""
    stream = io.BytesIO()
    Image.new("L", (1, 1)).save(stream, "PNG")
    content = bytearray(stream.getvalue())
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


class TestErrors:
    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"gone\.jpg: no such file"):
            read_image(tmp_path / "gone.jpg")

    def test_folder(self, tmp_path):
        with pytest.raises(ValueError, match="expected an image file"):
            read_image(tmp_path)

    def test_invalid_file_name(self):
        with pytest.raises(ValueError, match="expected an image file"):
            read_image("a\0b.jpg")

    @pytest.mark.parametrize("thing", [None, 5, COLORS])
    def test_invalid_argument_type(self, thing):
        with pytest.raises(TypeError, match="expected a path or a binary file"):
            read_image(thing)

    @pytest.mark.parametrize(
        "content, message",
        [(b"", "is empty .0 bytes."), (b"GIF? no", "Convert it to JPEG"), (b"%PDF-1.4", "not an image")],
    )
    def test_not_an_image(self, tmp_path, content, message):
        path = tmp_path / "photo.jpg"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"photo\.jpg: .*{message}"):
            read_image(path)
        with pytest.raises(ValueError, match=message):
            read_image(io.BytesIO(content))

    @pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "bmp", "gif"])
    @pytest.mark.parametrize("share", [0.95, 0.5, 0.2])
    def test_truncated_file(self, tmp_path, suffix, share):
        path = save(tmp_path / f"cut.{suffix}", np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(ValueError, match=rf"cut\.{suffix}: (cannot be decoded|is not an image)"):
            read_image(path)

    @pytest.mark.filterwarnings("ignore::UserWarning:PIL")
    def test_damaged_files_raise_only_value_errors(self):
        rng = np.random.default_rng(0)
        image = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        refused = 0
        for kind in ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP"):
            stream = io.BytesIO()
            image.save(stream, kind)
            for _ in range(60):
                content = np.frombuffer(stream.getvalue(), np.uint8).copy()
                where = rng.integers(0, min(len(content), 300), 4)
                content[where] = rng.integers(0, 256, 4)
                try:
                    assert read_image(io.BytesIO(content.tobytes())).shape[2] == 3
                except ValueError:
                    refused += 1
        assert refused > 50

    @pytest.mark.parametrize("kind", ["EPS", "PDF"])
    def test_postscript_is_not_executed(self, tmp_path, kind):
        """Pillow would pass PostScript, a programming language, to Ghostscript."""
        path = save(tmp_path / "photo.jpg", COLORS, format=kind)
        with pytest.raises(ValueError, match=r"photo\.jpg: is not an image of a known format. Convert it to JPEG"):
            read_image(path)

    def test_decompression_bomb(self, tmp_path):
        path = tmp_path / "bomb.png"
        path.write_bytes(png_of(60000, 60000))
        with pytest.raises(ValueError, match=r"bomb\.png: has more than 268435456 pixels"):
            read_image(path)

    def test_the_pixel_limit_of_pillow_is_bypassed_and_unchanged(self, monkeypatch, tmp_path, recwarn):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2)
        np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", COLORS)), COLORS)
        assert Image.MAX_IMAGE_PIXELS == 2 and not recwarn.list
        monkeypatch.setattr(image_files, "MAX_PIXELS", 5)
        with pytest.raises(ValueError, match="more than 5 pixels"):
            read_image(tmp_path / "a.png")


class TestAsRgb:
    def test_uint8_is_unchanged(self):
        assert as_rgb(COLORS) is COLORS

    @pytest.mark.parametrize("shape", [(3, 2), (3, 2, 1)])
    def test_greyscale(self, shape):
        np.testing.assert_array_equal(as_rgb(GREY.reshape(shape)), np.stack([GREY] * 3, axis=-1))

    def test_alpha_is_dropped(self):
        np.testing.assert_array_equal(as_rgb(np.concatenate([COLORS, GREY[:, :, None]], axis=2)), COLORS)
        np.testing.assert_array_equal(as_rgb(np.stack([GREY, GREY // 2], axis=-1))[:, :, 2], GREY)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int16, np.int64, np.uint32])
    def test_values_0_to_255(self, dtype):
        np.testing.assert_array_equal(as_rgb(COLORS.astype(dtype)), COLORS)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_values_0_to_1(self, dtype):
        np.testing.assert_array_equal(as_rgb(COLORS.astype(dtype) / 255), COLORS)
        assert as_rgb(np.array([[0.5, 1.0000001, -1e-7]]))[0, :, 0].tolist() == [128, 255, 0]

    def test_floats_are_rounded(self):
        assert as_rgb(np.array([[1.6, 7.4, 255.2, 254.99999]]))[0, :, 0].tolist() == [2, 7, 255, 255]

    def test_sixteen_bits_and_bool(self):
        assert as_rgb(np.array([[0, 255, 256, 65535]], np.uint16))[0, :, 0].tolist() == [0, 0, 1, 255]
        assert as_rgb(np.array([[256]], ">u2"))[0, 0, 0] == 1
        assert as_rgb(np.array([[True, False]]))[0, :, 0].tolist() == [255, 0]

    def test_uint16_arrays_with_8_bit_values_are_not_scaled(self):
        """Scaled as 16-bit values, they would be black."""
        assert as_rgb(np.array([[0, 7, 255]], np.uint16))[0, :, 0].tolist() == [0, 7, 255]

    def test_other_channel_counts(self):
        assert as_rgb(GREY, channels=1).shape == (3, 2, 1)
        five = np.zeros((4, 6, 5), np.uint8)
        assert as_rgb(five, channels=5) is five
        with pytest.raises(ValueError, match="expected 5 channels"):
            as_rgb(COLORS, channels=5)

    @pytest.mark.parametrize(
        "array, message",
        [
            (np.zeros((0, 4, 3)), r"shoe: .* got shape \(0, 4, 3\)"),
            (np.zeros((4, 4, 0)), "not empty"),
            (np.zeros(7), r"got shape \(7,\)"),
            (np.zeros((1, 4, 4, 3)), r"got shape \(1, 4, 4, 3\)"),
            (np.zeros((3, 40, 60)), "moveaxis"),
            (np.zeros((4, 4, 5)), r"expected 3 channels"),
            (np.array([[0.5, np.nan]]), "NaN or infinite"),
            (np.array([[0.5, np.inf]]), "NaN or infinite"),
            (np.array([[0, -1]]), r"integers in 0\.\.255, got int64 in -1\.\.0"),
            (np.array([[0, 256]]), r"integers in 0\.\.255, got int64 in 0\.\.256"),
            (np.array([[-0.1, 0.5]]), r"floats in .*, got float64 in -0\.1\.\.0\.5. Pass the image as it was before"),
            (np.array([[-0.4, 2.5]]), r"floats in .*, got float64 in -0\.4\.\.2\.5. Pass the image as it was before"),
            (np.array([[-9.0, 200]]), r"floats in .*, got float64 in -9\.\.200"),
            (np.array([[0, 1.3]]), r"got float64 in 0\.\.1\.3"),
            (np.array([[0, 256.0]]), r"got float64 in 0\.\.256"),
        ],
    )
    def test_errors(self, array, message):
        with pytest.raises(ValueError, match=message):
            as_rgb(array, name="shoe")

    @pytest.mark.parametrize("thing", ["photo.jpg", None, np.array([["a"]]), np.zeros((2, 2), complex)])
    def test_arrays_without_numbers(self, thing):
        with pytest.raises(TypeError, match="expected an array of numbers"):
            as_rgb(thing)


def test_an_image_of_the_caller_is_not_modified():
    image = Image.new("P", (4, 3))
    image.info["transparency"] = 0
    read_image(image)
    assert image.info == {"transparency": 0} and image.mode == "P"
