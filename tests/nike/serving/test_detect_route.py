"""POST /v1/detect: formats, thresholds, masks, orientation. Other routes of the application."""

import io
import json

import numpy as np
import PIL.Image
import pytest

from nike.datasets import rle
from nike.datasets.labelme import read_labelme
from nike.datasets.shapes import Shape

BOX = (5, 10, 25, 30)  # in 60 x 80 pixels; the score is 0.5 + 0.5 * 20 / 80 = 0.625


def test_json(serve, photo):
    answer = serve().post("/v1/detect", content=photo(BOX, (40, 5, 50, 75))).json()
    assert (answer["width"], answer["height"]) == (80, 60)
    first, second = answer["detections"]
    assert first["score"] == pytest.approx(0.5 + 0.5 * 70 / 80) and second["score"] == pytest.approx(0.625)
    assert {key: second[key] for key in ("class", "class_id", "box", "area")} == {
        "class": "nike",
        "class_id": 1,
        "box": [10, 5, 30, 25],
        "area": 400,
    }
    (points,) = second["polygons"]
    mask = Shape("polygon", np.array(points)).draw(60, 80)
    assert mask[5:25, 10:30].all() and mask.sum() == 400


def test_a_mask_with_a_hole_is_a_polygon_without_it(serve, photo):
    pixels = np.array(PIL.Image.open(io.BytesIO(photo((5, 10, 45, 60)))))
    pixels[15:35, 20:50] = 120
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PNG")
    (found,) = serve().post("/v1/detect", content=buffer.getvalue()).json()["detections"]
    assert found["area"] == 40 * 50 - 20 * 30 and len(found["polygons"]) == 1
    assert Shape("polygon", np.array(found["polygons"][0])).draw(60, 80).sum() == 2000


@pytest.mark.parametrize("query, count", [("", 1), ("?min_confidence=0.62", 1), ("?min_confidence=0.63", 0)])
def test_the_threshold(serve, photo, query, count):
    assert len(serve().post(f"/v1/detect{query}", content=photo(BOX)).json()["detections"]) == count


def test_the_default_threshold_and_the_lowest(serve, photo):
    client = serve(default_confidence=0.7)
    assert client.post("/v1/detect", content=photo(BOX)).json()["detections"] == []
    assert len(client.post("/v1/detect?min_confidence=0.6", content=photo(BOX)).json()["detections"]) == 1
    answer = client.post("/v1/detect?min_confidence=0.05", content=photo(BOX))
    assert answer.status_code == 422 and "0.1" in answer.text  # the detector discards lower scores


def test_run_lengths_or_no_masks(serve, photo):
    client = serve()
    (found,) = client.post("/v1/detect?masks=rle", content=photo(BOX)).json()["detections"]
    mask = rle.decode(found["rle"], 60, 80)
    assert mask[5:25, 10:30].all() and mask.sum() == 400 and "polygons" not in found
    (found,) = client.post("/v1/detect?masks=none", content=photo(BOX)).json()["detections"]
    assert set(found) == {"class", "class_id", "score", "box", "area"}


def test_labelme_can_be_read_back(serve, photo, tmp_path):
    answer = serve().post("/v1/detect?format=labelme&name=../b/shoe.png", content=photo(BOX)).json()
    (tmp_path / "shoe.json").write_text(json.dumps(answer))
    (tmp_path / "shoe.png").write_bytes(photo(BOX))
    assert answer["imagePath"] == "shoe.png"
    masks = read_labelme(tmp_path / "shoe.json").draw()
    assert masks.shape == (60, 80, 1) and masks[5:25, 10:30].all() and masks.sum() == 400


def test_coco(serve, photo):
    answer = serve().post("/v1/detect?format=coco&name=a.png", content=photo(BOX)).json()
    assert answer["categories"] == [{"id": 1, "name": "nike"}]
    assert answer["images"] == [{"id": 1, "file_name": "a.png", "width": 80, "height": 60}]
    (annotation,) = answer["annotations"]
    assert annotation["bbox"] == [10, 5, 20, 20] and annotation["area"] == 400 and annotation["category_id"] == 1
    assert rle.decode(annotation["segmentation"], 60, 80).sum() == 400


def test_png_overlay(serve, photo):
    answer = serve().post("/v1/detect?format=png", content=photo(BOX))
    assert answer.headers["content-type"] == "image/png"
    drawn, before = (np.array(PIL.Image.open(io.BytesIO(data))) for data in (answer.content, photo(BOX)))
    assert drawn.shape == (60, 80, 3) and (drawn[15, 20] != before[15, 20]).any()
    assert (drawn[55, 75] == before[55, 75]).all()


def test_a_form_with_a_file(serve, photo):
    client = serve()
    answer = client.post("/v1/detect", files={"image": ("/etc/passwd", photo(BOX), "image/png")})
    assert len(answer.json()["detections"]) == 1
    answer = client.post("/v1/detect", data={"image": "/etc/passwd"}, files={"note": ("", b"")})
    assert answer.status_code == 422


def test_images_are_turned_upright(serve, photo):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # rotate clockwise
    answer = serve().post("/v1/detect", content=photo((0, 0, 10, 20), exif=exif)).json()
    assert (answer["width"], answer["height"]) == (60, 80)
    assert answer["detections"][0]["box"] == [50, 0, 60, 20]  # from the top left to the top right


def test_health_and_openapi(serve):
    client = serve(default_confidence=0.5)
    assert client.get("/healthz").text == "ok\n" and client.get("/readyz").text == "ready\n"
    info = client.get("/v1/info").json()
    assert info["classes"] == ["nike"] and info["min_confidence"] == 0.5 and info["lowest_confidence"] == 0.1
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/v1/detect", "/v1/predict", "/v1/models", "/predict", "/setup", "/webhook", "/health"} <= set(paths)
    assert "image/*" in paths["/v1/detect"]["post"]["requestBody"]["content"]


def test_metrics(serve, photo):
    client = serve()
    client.post("/v1/detect", content=photo(BOX, (40, 5, 50, 75)))
    client.post("/v1/detect", content=b"no image")
    client.post("/v1/predict", content=b"no JSON")
    client.get("/some/where")
    lines = client.get("/metrics").text.splitlines()
    assert 'nike_requests_total{path="/v1/detect",status="200"} 1.0' in lines
    assert 'nike_requests_total{path="/v1/detect",status="422"} 1.0' in lines
    assert 'nike_requests_total{path="/v1/predict",status="422"} 1.0' in lines
    assert 'nike_requests_total{path="other",status="404"} 1.0' in lines
    assert 'nike_detections_total{class="nike"} 2.0' in lines
    assert "nike_batch_images_count 1.0" in lines and "nike_requests_in_progress 0.0" in lines


def test_the_page_loads_nothing_from_elsewhere(serve):
    client = serve()
    page = client.get("/")
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
    for path in ("/", "/page.css", "/page.js", "/docs"):
        answer = client.get(path)
        text = answer.text.replace("http://www.w3.org/2000/svg", "")
        assert answer.status_code == 200 and "http:" not in text and "https:" not in text and "//cdn" not in text
