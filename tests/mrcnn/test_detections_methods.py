"""Public methods of `Detections`: selection, polygons, drawing, and conversion for other tools."""

import base64
import io
import json

import numpy as np
import PIL.Image
import pytest

from mrcnn.detections import Detections
from mrcnn.ops.polygons import fill
from nike.datasets.labelme import write_detections

IMAGE = np.full((40, 60, 3), 120, np.uint8)
SUPERVISION = "supervision is not installed: pip install -e '.[test]'"


@pytest.fixture
def found():
    """Returns detections of a ring of 10 x 10 pixels at (5, 20), class nike, and a square at (30, 50), class puma."""
    ring = np.ones((10, 10), bool)
    ring[3:7, 3:7] = False
    found = Detections(
        [[5, 20, 15, 30], [30, 50, 36, 56]], [1, 2], [0.9, 0.4], [ring, np.ones((6, 6), bool)], IMAGE.shape
    )
    found.class_names, found.source = ["BG", "nike", "puma"], IMAGE
    return found


@pytest.fixture
def refined():
    """Returns a square of 10 x 10 pixels. The contour of its probabilities is half a pixel inside the box."""
    refined = Detections([[5, 20, 15, 30]], [1], [0.9], [np.ones((10, 10), bool)], IMAGE.shape)
    refined.probabilities, refined.frames = [np.ones((4, 4))], np.array([[5.5, 20.5, 14.5, 29.5]])
    refined.class_names = ["BG", "nike"]
    return refined


def test_selection(found):
    assert found.names == ["nike", "puma"]
    assert found["puma"].scores.tolist() == pytest.approx([0.4]) and found["puma"].source is IMAGE
    assert found.filter(0.5).names == ["nike"] == found.filter(classes="nike").names == found.filter(classes=[1]).names
    assert not len(found.filter(0.5, ["puma"])) and found[found.scores < 0.5].names == ["puma"]
    with pytest.raises(ValueError, match=r"expected names among .*, got \['adidas'\]"):
        found.filter(classes=["adidas"])
    with pytest.raises(KeyError):
        found["adidas"]
    found.class_names = None
    assert found.names == ["class 1", "class 2"]


def test_polygons(found):
    (square,) = found.polygons()[1]
    np.testing.assert_allclose(square.min(axis=0), (50, 30), atol=0.51)
    np.testing.assert_allclose(square.max(axis=0), (56, 36), atol=0.51)
    outer, hole = sorted(found.polygons(tolerance=0)[0], key=len, reverse=True)
    assert np.ptp(outer, axis=0).tolist() == [10, 10] and np.ptp(hole, axis=0).tolist() == [4, 4]


def test_drawing(found, tmp_path):
    drawn = found.draw()
    assert drawn.shape == IMAGE.shape and (drawn[7, 21] != 120).any() and (drawn[39, 0] == 120).all()
    np.testing.assert_array_equal(found.draw(IMAGE), drawn)
    assert [crop.shape for crop in found.crops(margin=0)] == [(10, 10, 3), (6, 6, 3)]
    assert found.plot(width=6).get_size_inches().tolist() == [6, 4]
    with PIL.Image.open(io.BytesIO(found._repr_png_())) as shown:
        np.testing.assert_array_equal(np.asarray(shown), drawn)
    with PIL.Image.open(found.save(tmp_path / "a.png")) as saved:
        np.testing.assert_array_equal(np.asarray(saved), drawn)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    with pytest.raises(ValueError, match="expected a name that ends in"):
        found.save(tmp_path / "a.xyz")
    found.source = tmp_path / "a.png"
    np.testing.assert_array_equal(found.image(), drawn)
    found.source = None
    assert found._repr_png_() is None
    with pytest.raises(ValueError, match="no image is stored"):
        found.plot()


def test_json(found, tmp_path):
    data = json.loads(found.save(tmp_path / "a.json").read_text())
    assert (data["width"], data["height"], data["error"]) == (60, 40, None)
    first = data["objects"][0]
    assert (first["class"], first["box"], first["area"]) == ("nike", [20, 5, 30, 15], 84)
    (polygon,) = first["polygons"]  # the hole is filled
    assert fill([np.array(polygon)], 40, 60).sum() == 100


def test_labelme(found):
    from labelme.utils import img_b64_to_arr

    document = found.to_labelme("photo.jpg")
    assert (document["imagePath"], document["imageHeight"], document["imageWidth"]) == ("photo.jpg", 40, 60)
    ring, square = document["shapes"]
    assert (ring["label"], ring["shape_type"], ring["points"]) == ("nike", "mask", [[20, 5], [29, 14]])
    np.testing.assert_array_equal(np.asarray(img_b64_to_arr(ring["mask"])).astype(bool), found.mask_crops[0])
    assert base64.b64decode(ring["mask"])[:4] == b"\x89PNG"
    assert (square["label"], square["shape_type"], square["group_id"]) == ("puma", "polygon", None)
    np.testing.assert_array_equal(fill([np.array(square["points"])], 40, 60), found.full_mask(1))


def test_labelme_of_the_command_is_the_same(refined, tmp_path):
    path = write_detections(tmp_path / "photo.jpg", refined, refined.class_names)
    document = refined.to_labelme("photo.jpg")
    assert json.loads(path.read_text()) == document
    points = np.array(document["shapes"][0]["points"])
    np.testing.assert_allclose(points.max(axis=0), (29.5, 14.5))  # sub-pixel coordinates


def test_only_edited_masks_lose_their_sub_pixel_contour(refined):
    (smooth,) = refined.rings(0)
    np.testing.assert_array_equal(refined.masks.sum(), 100)  # reading masks does not change the polygons
    np.testing.assert_array_equal(refined.rings(0)[0], smooth)
    assert refined[:1].is_sub_pixel(0)
    refined.masks[5, 20] = False
    assert not refined.is_sub_pixel(0) and not refined[:1].is_sub_pixel(0)
    np.testing.assert_array_equal(refined.rings(0)[0].max(axis=0), (30, 15))
    refined.masks[5, 20] = refined.masks[0, 0] = True  # one pixel is outside the box
    assert not refined.is_sub_pixel(0)
    refined.masks = np.zeros((40, 60, 1), bool)
    assert refined.rings(0) == []


def test_coco(found):
    from pycocotools import mask as coco_mask

    results = found.to_coco(image_id=7)
    assert [r["image_id"] for r in results] == [7, 7] and results[1]["bbox"] == [50, 30, 6, 6]
    assert [(r["id"], r["area"], r["iscrowd"]) for r in results] == [(1, 84, 0), (2, 36, 0)]
    np.testing.assert_array_equal(coco_mask.decode(results[0]["segmentation"]), found.full_mask(0))
    json.dumps(results)


def test_pandas(found):
    pytest.importorskip("pandas", reason="pandas is not installed: pip install pandas")
    table = found.to_pandas()
    assert table["class"].tolist() == ["nike", "puma"] and table["area"].tolist() == [84, 36]
    assert table.loc[1, ["x1", "y1", "x2", "y2"]].tolist() == [50, 30, 56, 36]
    assert len(found[:0].to_pandas()) == 0


def test_supervision_draws(found):
    sv = pytest.importorskip("supervision", reason=SUPERVISION)
    converted = found.to_supervision()
    assert converted.xyxy.tolist() == [[20, 5, 30, 15], [50, 30, 56, 36]] and converted["class_name"].tolist() == [
        "nike",
        "puma",
    ]
    np.testing.assert_array_equal(converted.mask[0], found.full_mask(0))
    drawn = sv.MaskAnnotator(opacity=1).annotate(IMAGE.copy(), converted)
    np.testing.assert_array_equal((drawn != IMAGE).any(axis=2), found.masks.any(axis=2))
    for annotator in (sv.BoxAnnotator(), sv.LabelAnnotator(), sv.PolygonAnnotator()):
        assert annotator.annotate(IMAGE.copy(), converted).shape == IMAGE.shape
    empty = found[:0].to_supervision()
    assert len(empty) == 0 and sv.MaskAnnotator().annotate(IMAGE.copy(), empty).shape == IMAGE.shape


def test_supervision_slices(found):
    """`InferenceSlicer` moves the detections of a slice to their position in the image."""
    sv = pytest.importorskip("supervision", reason=SUPERVISION)
    slicer = sv.InferenceSlicer(lambda tile: found.to_supervision(), slice_wh=(60, 40), overlap_wh=(0, 0))
    sliced = slicer(np.zeros((40, 120, 3), np.uint8))
    assert sorted(sliced.xyxy[:, 0].tolist()) == [20, 50, 80, 110]


def test_trackers_keep_ids(found):
    """ByteTrack of the package trackers keeps the id of an object that does not move."""
    trackers = pytest.importorskip("trackers", reason="trackers is not installed: pip install -e '.[test]'")
    tracker = trackers.ByteTrackTracker(minimum_consecutive_frames=1)
    ids = [tracker.update(found[:1].to_supervision()).tracker_id.tolist() for _ in range(4)]
    assert ids[-1] == ids[-2] and len(ids[-1]) == 1 and ids[-1][0] >= 0
