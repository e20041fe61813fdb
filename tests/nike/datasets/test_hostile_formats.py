"""Problems of damaged or malicious YOLO, CVAT, Label Studio and Pascal VOC files are listed, and no reader crashes."""

import json
import time

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nike.datasets.cvat import read_cvat
from nike.datasets.label_studio import read_label_studio
from nike.datasets.label_studio_rle import decode, encode
from nike.datasets.safe_xml import read_xml
from nike.datasets.voc import read_voc
from nike.datasets.yolo import find, read_yolo

HEIGHT, WIDTH = 24, 32
SETTINGS = dict(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
words = st.sampled_from(
    ["0", "1", "-1", "9" * 30, "nan", "inf", "1e999", "0.5", "0.1", "0.9", "1.5", "x", "", "²", "\0"]
)
paths = st.sampled_from(["photo.png", "../secret.png", "/etc/passwd", "..\\..\\secret.png", "\0", "a" * 5000, ".", ""])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Returns a dataset folder with one image. A secret image is in the parent folder."""
    root = tmp_path_factory.mktemp("hostile") / "photos"
    (root / "images").mkdir(parents=True)
    for path in (root / "images" / "photo.png", root.parent / "secret.png"):
        PIL.Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(path)
    (root / "data.yaml").write_text("train: images\nval: images\nnames: [nike]\n")
    return root


def assert_safe(collection, root):
    for photo in collection.photos:
        assert photo.path.resolve().is_relative_to(root)
        assert photo.draw().shape == (HEIGHT, WIDTH, len(photo.instances))
    for path in collection.unlabelled:
        assert path.resolve().is_relative_to(root)
    for problem in collection.all_problems():
        assert str(problem).isprintable() and len(str(problem)) < 400


@settings(**SETTINGS)
@given(st.lists(st.lists(words, max_size=9).map(" ".join), max_size=5).map("\n".join) | st.binary(max_size=50))
def test_yolo_labels(root, text):
    path = root / "labels" / "photo.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert_safe(read_yolo(root), root)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.1 0.1 0.9 0.1", "is a box without a polygon"),
        ("7 0.1 0.1 0.9 0.1 0.5 0.9", "class '7' is not a number in 'names'"),
        ("0 10 10 90 10 50 90", "must be fractions"),
        ("0 0.1 0.1 0.9 0.1 0.5", "at least 3 points"),
        ("0 0.1 0.1 0.9 nan 0.5 0.9", "must be fractions"),
        ("0 0.1 0.1 0.9 0.1 0.5 0.1", "no area"),
    ],
)
def test_yolo_problems(folder, line, message):
    folder.photo("images/a.png")
    (folder.root / "labels").mkdir()
    (folder.root / "labels" / "a.txt").write_text(f"\n{line}\n")
    (folder.root / "data.yaml").write_text("train: images\nval: images\nnames: {0: nike}\n")
    (photo,) = read_yolo(folder.root).photos
    assert (
        photo.num_unusable == 1
        and message in str(photo.problems[0])
        and "labels/a.txt, line 2" in str(photo.problems[0])
    )


@pytest.mark.parametrize("train", ["..", "/etc", "../secret", "images\0", "x" * 5000, "[1, 2]", "{a: b}"])
def test_yolo_folders_stay_inside(folder, train):
    folder.photo("images/a.png")
    (folder.root / "data.yaml").write_text(
        f"train: {json.dumps(train) if train[0] not in '[{' else train}\nnames: [nike]\n"
    )
    with pytest.raises(ValueError, match="train"):
        read_yolo(folder.root)


def test_yolo_links_stay_inside(folder, tmp_path):
    folder.photo("images/a.png").rename(tmp_path / "secret.png")
    (folder.root / "images" / "a.png").symlink_to(tmp_path / "secret.png")
    (folder.root / "data.yaml").write_text("train: images\nnames: [nike]\n")
    collection = read_yolo(folder.root)
    assert not collection.photos and "links to a file outside" in str(collection.problems[0])
    assert len(read_yolo(folder.root, allow_outside=True).photos) == 1


@pytest.mark.parametrize(
    "text", ["a: &a [*a]", "[" * 5000, "names: !!python/object/apply:os.system [ls]", "\x80", ":", ""]
)
def test_yaml_is_data(folder, text):
    (folder.root / "data.yaml").write_text(text, encoding="latin-1")
    assert not find(folder.root)


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><annotations>&b;</annotations>'
FILE = '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotations>&a;</annotations>'


@pytest.mark.parametrize(
    ("text", "message"),
    [(BOMB, "document types"), (FILE, "document types"), ("<a>" * 1_000, "nested deeper"), ("<a", "not well-formed")],
)
def test_xml_is_data(tmp_path, text, message):
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_xml(path)


names = st.sampled_from(
    ["points", "label", "rle", "left", "top", "width", "height", "xtl", "ytl", "xbr", "ybr", "rotation"]
)
values = st.sampled_from(
    ["nike", "0", "1", "5", "-3", "20", "1e99", "nan", "1,1;9,1;9,9", "1,1", "1,2,3", "3, 5, 7", "é"]
)
shapes = st.tuples(
    st.sampled_from(["polygon", "mask", "box", "ellipse", "points", "x"]), st.dictionaries(names, values)
)


@settings(**SETTINGS)
@given(paths, st.lists(shapes, max_size=4))
def test_cvat_files(root, name, shapes):
    from xml.sax.saxutils import quoteattr

    lines = "".join(f"<{tag} {' '.join(f'{k}={quoteattr(v)}' for k, v in found.items())}/>" for tag, found in shapes)
    name = name.replace("\0", "")
    (root / "annotations.xml").write_text(f"<annotations><image name={quoteattr(name)}>{lines}</image></annotations>")
    assert_safe(read_cvat(root / "annotations.xml"), root)


anything = st.none() | st.sampled_from(
    [0, -1, 50, 1e99, float("nan"), "x", "nike", [], {}, [[1, 2], [50, 2], [30, 60]], ["nike"]]
)
regions = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["polygonlabels", "brushlabels", "rectanglelabels", "ellipselabels", "choices"])
        | anything
    },
    optional={
        "value": anything
        | st.dictionaries(
            st.sampled_from(["points", "x", "y", "width", "height", "radiusX", "rle", "polygonlabels", "rotation"]),
            anything,
        )
    },
)


@settings(**SETTINGS)
@given(paths, st.lists(regions | anything, max_size=4))
def test_label_studio_files(root, name, regions):
    tasks = [{"data": {"image": name}, "annotations": [{"result": regions}]}]
    path = root / "tasks.json"
    path.write_text(json.dumps(tasks))
    assert_safe(read_label_studio(path), root)


@settings(**SETTINGS)
@given(st.lists(st.integers(0, 255), max_size=40) | anything)
def test_brush_masks(encoded):
    start = time.thread_time()
    try:
        assert decode(encoded, 5, 7).shape == (5, 7)
    except ValueError as error:
        assert str(error).isprintable()
    assert time.thread_time() - start < 1


@settings(**SETTINGS)
@given(st.integers(0, 2**35 - 1))
def test_brush_masks_survive(bits):
    mask = np.array([bits >> i & 1 for i in range(35)], bool).reshape(5, 7)
    np.testing.assert_array_equal(decode(encode(mask), 5, 7), mask)


def test_brush_literals():
    """Two RGBA pixels are encoded as a run of four values 255 and the literals 0 0 0 0."""
    bits = (
        f"{8:032b}{7:05b}{3:04b}{7:04b}{15:04b}{15:04b}" + f"1{0:02b}{3:04b}{255:08b}" + f"0{0:02b}{3:04b}" + "0" * 32
    )
    bits += "0" * (-len(bits) % 8)
    assert decode([int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)], 1, 2).tolist() == [[True, False]]


@pytest.mark.parametrize("broken", ["size", "bytes", "link", "labelmap"])
def test_voc_files(folder, broken, tmp_path):
    folder.photo("JPEGImages/a.png", HEIGHT, WIDTH)
    mask = folder.photo("SegmentationObject/a.png", HEIGHT, WIDTH, None)
    if broken == "size":
        folder.photo("SegmentationObject/a.png", 9, 9)
    elif broken == "bytes":
        mask.write_bytes(b"\x89PNG")
    elif broken == "link":
        mask.rename(tmp_path / "secret.png")
        mask.symlink_to(tmp_path / "secret.png")
    else:
        (folder.root / "labelmap.txt").write_text("nike:300,x,1::\n")
        with pytest.raises(ValueError, match="labelmap.txt: expected NAME"):
            read_voc(folder.root)
        return
    collection = read_voc(folder.root)
    assert not collection.photos and len(collection.problems) == 1
