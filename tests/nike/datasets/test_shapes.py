"""Validation of shapes, and rasterization compared with labelme."""

import base64
import io

import numpy as np
import PIL.Image
import pytest

from mrcnn.ops.polygons import crosses_itself
from nike.datasets.shapes import Shape, ShapeError, parse_shape

HEIGHT, WIDTH = 60, 80


def png(mask: np.ndarray) -> str:
    buffer = io.BytesIO()
    PIL.Image.fromarray(mask).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def draw(raw: dict) -> np.ndarray:
    return parse_shape(raw, HEIGHT, WIDTH).draw(HEIGHT, WIDTH)


def pixels(mask: np.ndarray) -> set:
    return {(int(x), int(y)) for y, x in np.argwhere(mask)}


def random_shape(kind: str, rng: np.random.Generator) -> dict:
    """Returns a shape with float coordinates, as labelme writes them, that may extend beyond the image."""
    low, high = ((-20, -20), (WIDTH + 20, HEIGHT + 20))
    if kind == "mask":
        x, y = rng.integers(0, WIDTH - 20), rng.integers(0, HEIGHT - 15)
        w, h = rng.integers(1, 20), rng.integers(1, 15)
        corner = rng.random(2) * 0.9  # labelme truncates coordinates
        points = np.array([[x, y], [x + w - 1, y + h - 1]]) + corner
        return {"points": points.tolist(), "shape_type": kind, "mask": png(rng.random((h, w)) < 0.5)}
    if kind == "oriented_rectangle":
        centre, arm = rng.uniform((0, 0), (WIDTH, HEIGHT)), rng.uniform(-30, 30, 2)
        other = np.array([-arm[1], arm[0]]) * rng.uniform(0.1, 1)
        points = [centre - arm - other, centre + arm - other, centre + arm + other, centre - arm + other]
    else:
        count = {"rectangle": 2, "circle": 2, "polygon": int(rng.integers(3, 12))}[kind]
        points = rng.uniform(low, high, (count, 2))
    return {"points": np.round(points, rng.integers(0, 5)).tolist(), "shape_type": kind}


@pytest.mark.parametrize("kind", ["polygon", "rectangle", "circle", "oriented_rectangle", "mask"])
def test_draw_equals_labelme(kind):
    labelme_utils = pytest.importorskip(
        "labelme.utils", reason="needs labelme: pip install labelme", exc_type=ImportError
    )
    rng = np.random.default_rng(1)
    for _ in range(200):
        raw = random_shape(kind, rng)
        for_labelme = raw | {"label": "nike"}
        if kind == "mask":
            for_labelme["mask"] = labelme_utils.img_b64_to_arr(raw["mask"]).astype(bool)
        expected, _ = labelme_utils.shapes_to_label((HEIGHT, WIDTH), [for_labelme], {"nike": 1})
        np.testing.assert_array_equal(draw(raw), expected.astype(bool), err_msg=str(raw))


def test_polygon_includes_its_outline():
    # The outline is part of the mask, so the corners (2,1), (5,1), (5,3), (2,3) cover 4 x 3 pixels, not 3 x 2.
    expected = {(x, y) for x in range(2, 6) for y in range(1, 4)}
    for kind, points in (("polygon", [[2, 1], [5, 1], [5, 3], [2, 3]]), ("rectangle", [[5, 3], [2, 1]])):
        assert pixels(draw({"points": points, "shape_type": kind})) == expected


def test_circle_of_radius_two():
    mask = draw({"points": [[10, 10], [12, 10]], "shape_type": "circle"})
    assert {(8, 10), (12, 10), (10, 8), (10, 12), (10, 10)} <= pixels(mask)
    assert not pixels(mask) & {(8, 8), (12, 12), (7, 10), (13, 10)}


def test_missing_shape_type_of_labelme_3():
    assert parse_shape({"points": [[0, 0], [5, 0], [5, 5]]}, 9, 9).kind == "polygon"


def test_mask_is_clipped_to_the_image():
    raw = {"points": [[-2, -1], [1, 1]], "shape_type": "mask", "mask": png(np.ones((3, 4), bool))}
    assert pixels(draw(raw)) == {(0, 0), (1, 0), (0, 1), (1, 1)}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (None, "must be an object"),
        ({"points": [[1, 2], [3, 4]]}, "a polygon requires at least 3 points, got 2"),
        ({"points": [[1, 2]] * 3, "shape_type": "rectangle"}, "a rectangle requires exactly 2 points, got 3"),
        ({"points": [[1, 2], [2, 4], [3, 6]]}, "no area"),
        ({"points": "12"}, "list of [x, y] pairs"),
        ({"points": [[1, 2], [3, 4], ["5", 6]]}, "points[2] must be two numbers [x, y]"),
        ({"points": [[1, 2], [3, 4], [True, 6]]}, "points[2] must be two numbers [x, y]"),
        ({"points": [[1, 2], [3, float("nan")], [5, 6]]}, "points[1]"),
        ({"points": [[1, 2], [3, 10**400], [5, 6]]}, "points[1]"),
        ({"points": [[1, 2], [3, 1e7], [5, 6]]}, "points[1]"),
        ({"points": [[0, 0], [3, 0], [5, 6]] * 100_000}, "300,000 points"),
        ({"points": [[0, 0], [9e5, 0], [9e5, 9e5], [0, 9e5]]}, "outline is"),
        ({"points": [[0, 0], [9e5, 0]], "shape_type": "circle"}, "outline is"),
        ({"points": [[1, 2], [3, 4]], "shape_type": "line"}, "a line has no area"),
        ({"points": [[1, 2], [3, 4]], "shape_type": "linestrip"}, "a linestrip has no area"),
        ({"points": [[1, 2]], "shape_type": "point"}, "a point has no area"),
        ({"points": [[1, 2]], "shape_type": "star"}, "unknown shape_type 'star'"),
        ({"points": [[1, 2]], "shape_type": ["polygon"]}, "unknown shape_type"),
        ({"points": [[0, 0], [3, 3]], "shape_type": "mask"}, "requires a base64-encoded PNG"),
        ({"points": [[0, 0], [3, 3]], "shape_type": "mask", "mask": "%%%"}, "not valid base64"),
        ({"points": [[0, 0], [3, 3]], "shape_type": "mask", "mask": "YWJj"}, "not a readable PNG"),
        ({"points": [[0, 0], [4, 4]], "shape_type": "mask", "mask": png(np.ones((9, 8), bool))}, "PNG has 8x9"),
        ({"points": [[0, 0], [99, 99]], "shape_type": "mask", "mask": "YWJj"}, "is not inside"),
        ({"points": [[5, 5], [2, 2]], "shape_type": "mask", "mask": "YWJj"}, "is not inside"),
    ],
)
def test_invalid_shapes_are_rejected(raw, message):
    with pytest.raises(ShapeError) as error:
        parse_shape(raw, HEIGHT, WIDTH)
    assert message in str(error.value)
    assert len(str(error.value)) < 300


def test_a_png_bomb_is_not_decoded(monkeypatch):
    """100 megapixels in 100 kB are rejected because of the header, regardless of the size given by the two points."""
    bomb = png(np.zeros((10_000, 10_000), bool))
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: pytest.fail("decoded"))
    for last in ([9_999, 9_999], [20, 20]):
        with pytest.raises(ShapeError):
            parse_shape({"points": [[0, 0], last], "shape_type": "mask", "mask": bomb}, HEIGHT, WIDTH)


def test_crossings():
    bow_tie = np.array([[0, 0], [10, 10], [10, 0], [0, 10]], float)
    square = bow_tie[[0, 2, 1, 3]]
    touching = np.array([[0, 0], [5, 5], [10, 0], [10, 10], [5, 5], [0, 10]], float)  # touches itself in one point
    assert crosses_itself(bow_tie)
    assert not crosses_itself(square)
    assert not crosses_itself(touching)
    circle = np.stack([np.cos(t := np.linspace(0, 6.2, 700)), np.sin(t)], axis=1)
    assert not crosses_itself(circle)
    circle[600] = [-1.5, 0.3]  # crosses the ring, in a different block of edges
    assert crosses_itself(circle)


def test_points_outside_are_counted():
    inside = Shape("polygon", np.array([[0, 0], [80, 0], [80, 60]], float))
    assert inside.points_outside(60, 80) == 0
    assert Shape("polygon", np.array([[-1, 0], [81, 0], [40, 61]], float)).points_outside(60, 80) == 3
