"""Sources named on the command line, and the stream of images read from them."""

import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mrcnn.data.fetch import FetchError
from nike.detection.sources import Source, UniqueNames, count_pictures, find_sources, read_pictures


def names(sources) -> list[str]:
    return [source.name for source in sources]


def test_folders_patterns_and_files_without_repetition(folder):
    for name in ("b.jpg", "a.png", "deep/er/c.JPG", "notes.txt", ".hidden.jpg", "clip.mp4"):
        folder.root.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        folder.root.joinpath(name).write_bytes(b"x")
    root = str(folder.root)
    everything = [f"{root}/{name}" for name in ("a.png", "b.jpg", "clip.mp4", "deep/er/c.JPG")]
    assert names(find_sources([root])) == everything
    assert names(find_sources([f"{root}/*.jpg"])) == [f"{root}/b.jpg"]
    assert names(find_sources([f"{root}/**/*.[jJ][pP][gG]"])) == [f"{root}/b.jpg", f"{root}/deep/er/c.JPG"]
    assert names(find_sources([f"{root}/b.jpg", root, f"{root}/./deep/../b.jpg"])) == [
        everything[1],
        everything[0],
        *everything[2:],
    ]
    assert names(find_sources([f"{root}/*"])) == [f"{root}/{name}" for name in ("a.png", "b.jpg", "clip.mp4")]
    assert names(find_sources([f"{root}/notes.txt"])) == [f"{root}/notes.txt"]  # explicitly named files are kept
    assert [source.is_video for source in find_sources([root])] == [False, False, True, False]


def test_heic_images_of_a_folder_are_reported(folder):
    folder.root.joinpath("b.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (heic,) = read_pictures(find_sources([str(folder.root)]))
    assert heic.error.endswith("b.HEIC: is not an image of a known format. Convert it to JPEG or PNG.")


def test_a_name_with_brackets_is_a_file(folder):
    path = folder.photo("shoe[1].jpg")
    assert names(find_sources([str(path)])) == [str(path)]


def test_missing_sources(folder):
    with pytest.raises(FileNotFoundError, match=r"nothing\.jpg: no such file"):
        find_sources([str(folder.root / "nothing.jpg")])
    with pytest.raises(ValueError, match="no images or videos"):
        find_sources([str(folder.root)])
    with pytest.raises(ValueError, match="no images or videos"):
        find_sources([str(folder.root / "*.jpg")])


@pytest.mark.parametrize("argument", ["", " "])
def test_an_empty_argument_is_an_error(folder, monkeypatch, argument):
    """An empty argument usually comes from an unset shell variable. It must not select the current folder."""
    folder.photo("a.jpg")
    monkeypatch.chdir(folder.root)
    with pytest.raises(ValueError, match="an empty string"):
        find_sources([argument])


def test_output_folders_are_not_sources(folder):
    photo, old = folder.photo("a.jpg"), folder.photo("out/overlay/a.jpg")
    folder.photo("out/mine.jpg")
    without = [folder.root / "out" / "overlay"]
    assert names(find_sources([str(folder.root)], without)) == [str(photo), str(folder.root / "out/mine.jpg")]
    for argument in (old, old.parent, old.parent / "*.jpg"):
        with pytest.raises(ValueError, match="is in a subfolder of --output"):
            find_sources([str(photo), str(argument)], without)
    link = folder.root / "link.jpg"
    link.symlink_to(old)
    assert str(link) not in names(find_sources([str(folder.root)], without))


def test_the_stream_skips_unreadable_files(folder):
    folder.photo("1.jpg")
    (folder.root / "2.jpg").write_bytes(b"no photo")
    folder.photo("3.jpg", height=20, width=40)
    (folder.root / "4.jpg").write_bytes(b"")
    arguments = [str(folder.root), str(folder.root / "gone.jpg")]
    pictures = list(read_pictures(find_sources(arguments)))
    assert [picture.image is None for picture in pictures] == [False, True, False, True, True]
    assert pictures[2].image.shape == (20, 40, 3)
    for picture in pictures:
        assert bool(picture.error) == (picture.image is None)
        assert picture.image is not None or picture.source.name in picture.error


def test_images_are_upright(folder):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    folder.photo("turned.jpg", height=30, width=50, exif=exif)
    (picture,) = read_pictures(find_sources([str(folder.root)]))
    assert picture.image.shape == (50, 30, 3)


def test_reading_is_lazy(folder):
    folder.photo("1.jpg")
    stream = read_pictures(find_sources([str(folder.root / "1.jpg"), str(folder.root / "2.jpg")]))
    assert next(stream).name == "1"
    folder.photo("2.jpg")
    assert next(stream).image is not None


@pytest.mark.parametrize(
    "file, name",
    [
        ("shoe.jpg", "shoe"),
        ("a.b.jpg", "a.b"),
        ("Schuh größe 42.jpg", "Schuh größe 42"),
        ("new\nline;rm -rf.jpg", "new_line_rm -rf"),
        ("..jpg", "photo"),
        ("…/日本語.jpg", "日本語"),
        ("bad\udc80bytes.jpg", "bad_bytes"),
        ("Gro\u0308sse.jpg", "Gr\u00f6sse"),  # the decomposed form of macOS
    ],
)
def test_safe_names(file, name):
    assert UniqueNames().new(Source(file, Path(file), False)) == name


def test_urls_are_downloaded(folder, monkeypatch):
    photo = folder.photo("a.png", 20, 30).read_bytes()
    monkeypatch.setattr("mrcnn.data.fetch.fetch", lambda url, file: file.write(photo))
    (picture,) = read_pictures(find_sources(["http://x.org/photo.png?size=2"]))
    assert picture.error == "" and picture.image.shape == (20, 30, 3) and picture.name == "photo"
    with pytest.raises(FetchError, match=r"http://\[a/b.jpg: Invalid IPv6 URL"):
        find_sources(["http://[a/b.jpg"])
    with pytest.raises(ValueError, match="expected an http or https URL"):
        find_sources(["ftp://x.org/a.jpg"])


def test_names_of_urls():
    name = UniqueNames().new
    assert name(Source("https://x.org/a/shoe.jpg?w=3#top", None, False)) == "shoe"
    assert name(Source("https://x.org/", None, False)) == "photo"
    assert name(Source("https://x.org/..%2f..%2fetc%2fpasswd", None, False)) == "passwd"


def test_names_are_unique_without_regard_to_case():
    new = UniqueNames().new
    given = [new(Source(file, Path(file), False)) for file in ("a/x.jpg", "b/x.jpg", "c/X.png", "x-2.jpg", "d/x.jpg")]
    assert given == ["x", "x-2", "X-3", "x-2-2", "x-4"]
    many = [new(Source("x.jpg", Path("x.jpg"), False)) for _ in range(3000)]
    assert len(set(many)) == 3000


def test_long_names_fit_the_file_system(tmp_path):
    source = Source("€" * 200 + ".jpg", Path("€" * 80 + ".jpg"), False)
    name = UniqueNames().new(source)
    assert len(os.fsencode(name)) <= 180
    (tmp_path / f".{name}-12345_000123_99.jpg.tmp").touch()


def test_images_are_uint8_rgb(folder):
    PIL.Image.fromarray(np.zeros((5, 6), np.uint8)).save(folder.root / "grey.png")
    (picture,) = read_pictures(find_sources([str(folder.root)]))
    assert picture.image.shape == (5, 6, 3) and picture.image.dtype == np.uint8


def test_links_are_separate_sources(folder):
    path = folder.photo("a.jpg")
    (folder.root / "b.jpg").symlink_to(path)
    (folder.root / "circle.jpg").symlink_to(folder.root / "circle.jpg")
    assert len(find_sources([str(folder.root), str(path)])) == 2


def test_cameras_and_streams_are_live(folder, monkeypatch):
    monkeypatch.chdir(folder.root)
    camera, stream = find_sources(["0", "rtsp://host/door"])
    assert (camera.name, camera.live, camera.is_video) == ("camera 0", 0, True)
    assert (stream.live, UniqueNames().new(stream)) == ("rtsp://host/door", "door")
    assert UniqueNames().new(camera) == "camera 0" and count_pictures([camera]) is None
    (folder.root / "7").write_bytes(b"a file")
    assert find_sources(["7"])[0].live is None


def test_a_missing_camera_is_a_one_line_error():
    (picture,) = read_pictures(find_sources(["98"]))
    assert picture.error.startswith("camera 98: no frame can be read")


def test_images_and_frames_are_counted(folder, monkeypatch):
    folder.photo("a.jpg")
    (folder.root / "clip.mp4").write_bytes(b"")
    monkeypatch.setattr("mrcnn.data.video_files.count_frames", lambda path: 21)
    sources = find_sources([str(folder.root)])
    assert count_pictures(sources) == 22 and count_pictures(sources, stride=10) == 4
