"""Malicious annotation files cause no crash, no hang, no long messages and no access outside the dataset."""

import base64
import io
import json
import time
import zlib

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nike.datasets.coco import parse_segmentation, read_coco
from nike.datasets.labelme import read_labelme
from nike.datasets.records import AnnotationError
from nike.datasets.shapes import ShapeError, parse_shape
from nike.datasets.via import read_via

HEIGHT, WIDTH = 24, 32
SLOWEST = 2.0  # maximum seconds for a file of a few hundred bytes; milliseconds are typical
SETTINGS = dict(
    deadline=None,
    derandomize=True,  # the same cases on every machine
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


def _png(width: int, height: int) -> str:
    buffer = io.BytesIO()
    PIL.Image.new("1", (width, height), 1).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _png_that_lies() -> str:
    """Returns a PNG file with 60000 x 60000 pixels in its header and the data of a small image."""
    data = bytearray(base64.b64decode(_png(4, 4)))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return base64.b64encode(data).decode()


WORDS = ["nike", "ignore", "", "polygon", "rectangle", "circle", "mask", "line", "oriented_rectangle", "photo.png"]
PATHS = [
    "../secret.png",
    "/etc/passwd",
    "..\\..\\secret.png",
    "\0",
    "a" * 5000,
    "photo.png/x",
    "~",
    ".",
    "..",
    "/",
    "C:\\",
]
PNGS = [_png(4, 3), _png(3000, 3000), _png_that_lies(), "AAAA", "%", "iVBORw0KGgo="]
NUMBERS = [
    0,
    1,
    -1,
    5,
    31,
    32,
    2**31,
    2**63,
    -(2**63),
    10**30,
    1e308,
    -1e308,
    float("nan"),
    float("inf"),
    1e-320,
    0.5,
    True,
]

texts = st.sampled_from(WORDS + PATHS + PNGS) | st.text(max_size=12)
numbers = st.sampled_from(NUMBERS) | st.integers() | st.floats() | st.floats(-50, 50)
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=6,
)
pixels = st.floats(-50, 80) | st.integers(-50, 80)
points = st.lists(st.tuples(pixels, pixels).map(list), max_size=9) | st.lists(st.lists(numbers, max_size=3), max_size=4)
kinds = st.sampled_from(["polygon", "rectangle", "circle", "oriented_rectangle", "mask", "line", "point", None])


def _object(**fields):
    """Returns a strategy for JSON objects whose fields are valid, arbitrary or missing."""
    return st.fixed_dictionaries({}, optional={name: value | anything for name, value in fields.items()})


labelme_shapes = _object(
    label=texts, points=points, shape_type=kinds, group_id=st.integers(), mask=st.sampled_from(PNGS), flags=anything
)
labelme_files = _object(
    shapes=st.lists(labelme_shapes, max_size=4),
    imagePath=texts,
    imageData=st.none() | st.sampled_from(PNGS),
    imageHeight=st.just(HEIGHT),
    imageWidth=st.just(WIDTH),
    version=texts,
)
rles = _object(size=st.just([HEIGHT, WIDTH]), counts=st.lists(st.integers(0, 900), max_size=5) | texts)
segmentations = st.lists(st.lists(pixels, max_size=12), max_size=3) | rles | anything
coco_files = st.fixed_dictionaries(
    {
        "images": st.lists(_object(id=st.integers(0, 2), file_name=texts, width=st.just(WIDTH)), max_size=3),
        "annotations": st.lists(
            _object(
                image_id=st.integers(0, 2), category_id=st.integers(0, 1), segmentation=segmentations, iscrowd=numbers
            ),
            max_size=4,
        ),
        "categories": st.lists(_object(id=st.integers(0, 1), name=texts), max_size=2),
    }
)
regions = _object(
    shape_attributes=_object(
        name=st.sampled_from(["polygon", "rect", "circle", "ellipse", "point", "polyline"]),
        **dict.fromkeys(("x", "y", "width", "height", "cx", "cy", "r", "rx", "ry", "theta"), pixels),
        all_points_x=st.lists(pixels, max_size=6),
        all_points_y=st.lists(pixels, max_size=6),
    ),
    region_attributes=st.dictionaries(texts, texts, max_size=2),
)
via_files = st.dictionaries(texts, _object(filename=texts, regions=st.lists(regions, max_size=3)), max_size=3)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Returns a folder with one image. Another image in the parent folder must not be read."""
    root = tmp_path_factory.mktemp("hostile") / "photos"
    root.mkdir()
    for path in (root / "photo.png", root.parent / "secret.png"):
        PIL.Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(path)
    return root


def _check(photos, problems, root):
    """Checks the invariants that every result of a reader must have."""
    for photo in photos:
        assert photo.path is None or photo.path.resolve().is_relative_to(root), photo.path
        masks = photo.draw()
        assert masks.shape == (photo.height, photo.width, len(photo.instances)) and masks.dtype == bool
    for problem in problems:
        text = str(problem)
        assert text.isprintable() and len(text) < 400, text
        text.encode("utf-8")


def _timed(function, *arguments):
    start = time.thread_time()
    try:
        return function(*arguments)
    finally:
        assert time.thread_time() - start < SLOWEST


@settings(max_examples=1200, **SETTINGS)
@given(labelme_files)
def test_labelme_files(dataset, value):
    path = dataset / "a.json"
    path.write_text(json.dumps(value))
    try:
        photo = _timed(read_labelme, path)
    except AnnotationError as error:
        return _check([], [error.problem], dataset)
    _check([photo] if photo else [], photo.problems if photo else [], dataset)


@settings(max_examples=2500, **SETTINGS)
@given(labelme_shapes | anything)
def test_labelme_shapes(value):
    try:
        mask = _timed(lambda: parse_shape(value, HEIGHT, WIDTH).draw(HEIGHT, WIDTH))
    except ShapeError as error:
        assert str(error).isprintable() and len(str(error)) < 400
    else:
        assert mask.shape == (HEIGHT, WIDTH) and mask.dtype == bool


@settings(max_examples=400, **SETTINGS)
@given(st.binary(max_size=200) | st.text(alphabet='[]{}",:\\ 1e\ud800-', max_size=60))
def test_any_bytes(dataset, data):
    path = dataset / "a.json"
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
    try:
        assert _timed(read_labelme, path) is None
    except AnnotationError as error:
        _check([], [error.problem], dataset)


@settings(max_examples=600, **SETTINGS)
@given(segmentations)
def test_coco_segmentations(value):
    try:
        mask = _timed(lambda: parse_segmentation(value, HEIGHT, WIDTH).draw(HEIGHT, WIDTH))
    except ValueError as error:
        assert str(error).isprintable() and len(str(error)) < 400
    else:
        assert mask.shape == (HEIGHT, WIDTH) and mask.dtype == bool


@settings(max_examples=300, **SETTINGS)
@given(coco_files | anything)
def test_coco_files(dataset, value):
    _read(read_coco, dataset, value)


@settings(max_examples=300, **SETTINGS)
@given(via_files | anything)
def test_via_files(dataset, value):
    _read(read_via, dataset, value)


def _read(reader, dataset, value):
    path = dataset / "a.json"
    path.write_text(json.dumps(value))
    try:
        collection = _timed(reader, path)
    except ValueError as error:
        assert str(error).isprintable() and len(str(error)) < 400
    else:
        _check(collection.photos, collection.all_problems(), dataset)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        '{"shapes": ' + "[" * 500 + "]" * 500 + "}",
        json.dumps({"shapes": [{"label": "nike", "points": [[i % 32, i // 7 % 24] for i in range(1_000_000)]}]}),
        json.dumps({"shapes": [{"label": "nike", "points": [[0, 0], [30, 0], [9, 9 + i % 3]]} for i in range(30_000)]}),
        json.dumps({"shapes": [{"label": "x" * 1_000_000, "points": [[0, 0], [30, 0], [9, 9]]}]}),
        '{"shapes": [], "imagePath": "' + "../" * 100_000 + 'secret.png"}',
    ],
    ids=["nesting", "deep shapes", "points", "shapes", "label", "path"],
)
def test_large_files_are_rejected_quickly(dataset, text):
    path = dataset / "photo.json"
    path.write_text(text)
    start = time.thread_time()
    try:
        photo = read_labelme(path)
        _check([photo], photo.problems, dataset)
    except AnnotationError as error:
        _check([], [error.problem], dataset)
    assert time.thread_time() - start < 10
