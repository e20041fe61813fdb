"""Open Images without network access: selected rows, safe names and resumed conversions."""

import importlib
import io
import zipfile

import numpy as np
import PIL.Image
import pytest

from nike import open_images
from nike.datasets.labelme import read_folder
from nike.open_images import MaskRow, find_class_ids, group_by_image, main, read_mask_rows

SHOE, HAT = "/m/09j5n", "/m/02dl1y"
IDS = ["00aa00aa00aa00aa", "00bb00bb00bb00bb", "f0cc00cc00cc00cc"]


def png(mask: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(mask).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def source(tmp_path):
    """Returns lists, archives and images of Open Images as a dictionary from URL to content."""
    y, x = np.mgrid[:60, :80]
    blob = (x - 40) ** 2 + (y - 30) ** 2 < 400
    photo = io.BytesIO()
    PIL.Image.fromarray(np.zeros((120, 160, 3), np.uint8)).save(photo, "JPEG")
    rows = [("a", 0, SHOE), ("b", 0, HAT), ("c", 1, HAT), ("d", 1, SHOE), ("e", 2, SHOE), ("f", 0, "/m/other")]
    lines = [f"{name}.png,{IDS[i]},{label},0x1,0.1,0.2,0.1,0.2,0.9,0.5 0.5 1" for name, i, label in rows]
    header = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks"
    files = {
        f"{open_images.LISTS}/class-descriptions-boxable.csv": f"{SHOE},Footwear\n{HAT},Hat\n/m/x,Cat\n".encode(),
        f"{open_images.LISTS}/train-annotations-object-segmentation.csv": "\n".join([header, *lines]).encode(),
    }
    for digit in "0f":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, i, _ in rows:
                if IDS[i][0] == digit:
                    archive.writestr(f"{name}.png", png(blob))
        files[f"{open_images.LISTS}/train-masks/train-masks-{digit}.zip"] = buffer.getvalue()
    for image_id in IDS:
        files[open_images.PHOTO_URL.format(subset="train", image_id=image_id)] = photo.getvalue()
    return files


@pytest.fixture
def fetched(source, monkeypatch):
    """Serves downloads from `source`. Returns the list of requested URLs."""
    asked = []

    def fetch(url, path, **options):
        asked.append(url)
        if url not in source:
            raise FileNotFoundError(f"{path}: could not be downloaded (404).")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source[url])
        return path

    monkeypatch.setattr(importlib.import_module("mrcnn.checkpoints.download"), "download", fetch)
    return asked


def test_only_selected_files_are_downloaded(tmp_path, fetched, capsys):
    assert main(["--classes", "hat", "--output", str(tmp_path / "out")]) == 0
    assert "2 images with 2 masks" in capsys.readouterr().out
    assert not any(word in url for url in fetched for word in ("masks-f.zip", IDS[2]))
    collection = read_folder(tmp_path / "out")
    assert [(p.file, [i.label for i in p.instances]) for p in collection.photos] == [
        (f"{IDS[0]}.jpg", ["Hat"]),
        (f"{IDS[1]}.jpg", ["Hat"]),
    ]
    assert not list(collection.all_problems()) and not collection.unlabelled
    # The mask has half the size of the image, so a circle of radius 20 in the mask has radius 40 in the image.
    assert collection.photos[0].draw().sum() == pytest.approx(np.pi * 40**2, rel=0.02)


def test_an_interrupted_conversion_is_resumed(tmp_path, source, fetched, capsys):
    photo = open_images.PHOTO_URL.format(subset="train", image_id=IDS[1])
    content = source.pop(photo)
    arguments = ["--classes", "Hat,Footwear", "--output", str(tmp_path)]
    assert main(arguments) == 1
    assert f"skipped: {IDS[1]}" in capsys.readouterr().err
    source[photo] = content
    fetched.clear()
    assert main(arguments) == 0
    assert fetched == [photo]
    assert "1 image with 2 masks" in (out := capsys.readouterr().out) and "2 already existed" in out


def test_error_without_network_names_the_missing_file(tmp_path, fetched, capsys):
    assert main(["--classes", "Hat", "--output", str(tmp_path), "--offline"]) == 2
    error = capsys.readouterr().err
    assert "class-descriptions-boxable.csv: no such file. Download it from https://" in error and not fetched


def test_unknown_class(tmp_path, fetched, capsys):
    assert main(["--classes", "Footware", "--output", str(tmp_path)]) == 2
    assert "'Footware' is not one of the 3 Open Images classes; did you mean Footwear?" in capsys.readouterr().err


def test_limit_counts_whole_images():
    rows = [MaskRow("a", "x", "1.png"), MaskRow("b", "x", "2.png"), MaskRow("a", "x", "3.png")]
    assert group_by_image(iter(rows), 1) == {"a": [rows[0], rows[2]]}
    assert len(group_by_image(iter(rows))) == 2


def test_names_that_are_paths_are_skipped(tmp_path):
    path = tmp_path / "masks.csv"
    lines = ["MaskPath,ImageID,LabelName", f"../x.png,{IDS[0]},m", "x.png,../../secret,m", f"x.png,{IDS[0]},m", "short"]
    path.write_text("\n".join(lines))
    assert list(read_mask_rows(path, {"m": "Hat"})) == [MaskRow(IDS[0], "Hat", "x.png")]


def test_errors_of_invalid_files(tmp_path, source, fetched, capsys):
    (tmp_path / "list.csv").write_bytes(b"<html>\0</html>")
    with pytest.raises(ValueError, match=r"list\.csv: expected the columns MaskPath"):
        list(read_mask_rows(tmp_path / "list.csv", {}))
    with pytest.raises(ValueError, match="'Hat' is not one of the 0 Open Images classes"):
        find_class_ids(tmp_path / "list.csv", ["Hat"])
    source[f"{open_images.LISTS}/train-masks/train-masks-0.zip"] = b"<html>"
    assert main(["--classes", "Hat", "--output", str(tmp_path)]) == 2
    assert "not a zip archive" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no picture", "cannot be read"),
        (png(np.ones((80, 60), bool)), "60x80 pixels, which does not match the 160x120 image"),  # rotated
        (
            png(np.zeros((6000, 8000), bool)),
            "8000x6000 pixels, which does not match the 160x120 image",
        ),  # a decompression bomb
        (None, "is not in"),
    ],
)
def test_an_invalid_mask_skips_one_image(content, message, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        if content is not None:
            archive.writestr("a.png", content)
    with pytest.raises(ValueError, match=message), zipfile.ZipFile(buffer) as archive:
        open_images.read_mask(archive, "a.png", 120, 160)
