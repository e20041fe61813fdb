"""The remote server for X-AnyLabeling, tested with requests of `remote_server.py` in X-AnyLabeling 4.2."""

import base64

import pytest

BOX = (5, 10, 25, 30)
HEADERS = {"Content-Type": "application/json", "Token": ""}


def request(data, **params):
    """Returns the request body of `RemoteServer.predict_shapes`."""
    uri = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    settings = {"conf_threshold": 0.0, "iou_threshold": 0.0, "epsilon_factor": 0.001}
    return {"model": "nike", "image": uri, "params": settings | params}


def test_models(serve):
    answer = serve(default_confidence=0.5).get("/v1/models", headers=HEADERS).json()
    ((name, model),) = answer["data"].items()
    assert name == "nike" and model["display_name"] and model["classes"] == ["nike"]
    widgets = {widget["name"]: widget["value"] for widget in model["widgets"]}
    assert widgets["edit_conf"] == 0.5 and "button_run" in widgets


def test_shapes(serve, photo):
    answer = serve().post("/v1/predict", json=request(photo(BOX)), headers=HEADERS).json()
    (shape,) = answer["data"]["shapes"]
    # These are the keys that the client reads. `Shape.add_point` of the client closes a polygon at the repeated point.
    assert shape["label"] == "nike" and shape["shape_type"] == "polygon" and shape["score"] == 0.625
    assert shape["points"][0] == shape["points"][-1] and len(shape["points"]) == 5
    xs, ys = zip(*shape["points"], strict=True)
    assert (min(xs), max(xs), min(ys), max(ys)) == (10.5, 29.5, 5.5, 24.5)  # centres of the outermost pixels
    assert shape["group_id"] is None and shape["flags"] == {} and shape["attributes"] == {}
    assert answer["data"]["replace"] is None  # the client decides


def test_threshold_and_classes(serve, photo):
    client = serve(default_confidence=0.7)

    def count(**params):
        return len(client.post("/v1/predict", json=request(photo(BOX), **params)).json()["data"]["shapes"])

    assert count() == 0  # the client sends 0.0 until the user sets a threshold
    assert count(conf_threshold=0.6) == 1
    assert count(conf_threshold=0.6, filter_classes=["nike"]) == 1
    assert count(conf_threshold=0.6, filter_classes=["adidas"]) == 0


@pytest.mark.parametrize(
    "image, status",
    [
        ("/etc/passwd", 422),
        ("file:///etc/passwd", 422),
        ("http://127.0.0.1/a.png", 422),
        ("data:image/png;base64,iVBORw0", 422),
        ("data:text/plain,hello", 422),
        ("", 422),
    ],
)
def test_only_images_in_the_request(serve, image, status):
    answer = serve().post("/v1/predict", json={"model": "nike", "image": image, "params": {}})
    assert answer.status_code == status and answer.json()["detail"].startswith("image:")


def test_another_model(serve, photo):
    answer = serve().post("/v1/predict", json=request(photo(BOX)) | {"model": "yolo11n"})
    assert answer.status_code == 404
