"""The machine learning backend for Label Studio, tested with requests of `ml/api_connector.py` in Label Studio 1.23."""

import base64
import http.server
import json
import threading

import pytest

from nike.serving.label_config import parse_label_config
from nike.serving.task_images import TaskImages

BOX = (5, 10, 25, 30)
POLYGONS = (
    '<View><Image name="img" value="$photo"/><PolygonLabels name="outline" toName="img" strokeWidth="3">'
    '<Label value="Nike" background="red"/><Label value="Other"/></PolygonLabels></View>'
)
RECTANGLES = POLYGONS.replace("PolygonLabels", "RectangleLabels")
JWT = "aaaa.bbbb.cccc"


def predict_request(*images, config=POLYGONS):
    """Returns the request body of `MLApi.make_predictions`."""
    tasks = [{"id": i, "data": {"photo": image}, "meta": {}, "annotations": []} for i, image in enumerate(images, 1)]
    params = {"login": None, "password": None, "context": None}
    return {"tasks": tasks, "project": "1.1700000000", "label_config": config, "params": params}


def data_uri(data):
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def test_setup_health_and_webhook(serve):
    client = serve()
    assert client.get("/health").json()["status"] == "UP"
    request = {"project": "1.17", "schema": POLYGONS, "hostname": "http://localhost:8080", "access_token": "abc"}
    answer = client.post("/setup", json=request | {"extra_params": None})
    assert answer.status_code == 200 and answer.json()["model_version"].startswith("nike-")
    assert client.post("/webhook", json={"action": "ANNOTATION_CREATED", "project": {"id": 1}}).status_code == 201
    assert (
        client.post("/setup", json=request | {"schema": "<View><Text name='t' value='$t'/></View>"}).status_code == 422
    )


def test_polygons_in_percent(serve, photo):
    answer = serve().post("/predict", json=predict_request(data_uri(photo(BOX)))).json()
    (prediction,) = answer["results"]
    (region,) = prediction["result"]
    assert (region["from_name"], region["to_name"], region["type"]) == ("outline", "img", "polygonlabels")
    assert (region["original_width"], region["original_height"], region["image_rotation"]) == (80, 60, 0)
    assert region["value"]["polygonlabels"] == ["Nike"] and region["value"]["closed"]
    xs, ys = zip(*region["value"]["points"], strict=True)
    assert (min(xs), max(xs)) == (pytest.approx(10.5 / 0.8), pytest.approx(29.5 / 0.8))
    assert (min(ys), max(ys)) == (pytest.approx(5.5 / 0.6, abs=1e-3), pytest.approx(24.5 / 0.6, abs=1e-3))
    assert prediction["score"] == pytest.approx(0.625) and prediction["model_version"] == answer["model_version"]


def test_rectangles(serve, photo):
    answer = serve().post("/predict", json=predict_request(data_uri(photo(BOX)), config=RECTANGLES)).json()
    (region,) = answer["results"][0]["result"]
    value = region["value"]
    assert (value["x"], value["width"]) == (12.5, 25) and value["rectanglelabels"] == ["Nike"]
    assert value["y"] == pytest.approx(5 / 0.6) and value["height"] == pytest.approx(20 / 0.6)


def test_labels_of_the_project():
    config = parse_label_config(POLYGONS)
    assert config.image_key == "photo"
    assert config.label_of("nike") == "Nike" and config.label_of("adidas") is None
    mapped = parse_label_config(POLYGONS.replace('value="Other"', 'value="Logo" predicted_values="swoosh, adidas"'))
    assert mapped.label_of("adidas") == "Logo" and mapped.label_of("swoosh") == "Logo"
    both = RECTANGLES.replace("</View>", "") + POLYGONS.replace("<View>", "").replace('"outline"', '"second"')
    assert parse_label_config(both).from_name == "second"  # polygons are preferred


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<View>",
        "<View/>",
        '<!DOCTYPE x [<!ENTITY a "aaaa">]><View>&a;</View>',
        POLYGONS.replace('toName="img"', 'toName="other"'),
        "<a>" * 100_000,
    ],
)
def test_bad_configurations(serve, text):
    answer = serve().post("/predict", json=predict_request("x", config=text))
    assert answer.status_code == 422 and answer.json()["detail"].startswith("label_config:")


def test_a_failed_task_does_not_affect_others(serve, photo):
    client = serve()
    answer = client.post("/predict", json=predict_request("data:image/png;base64,AAAA", data_uri(photo(BOX)))).json()
    assert [len(prediction["result"]) for prediction in answer["results"]] == [0, 1]
    answer = client.post("/predict", json=predict_request("data:image/png;base64,AAAA"))
    assert answer.status_code == 422  # Label Studio displays the message


# --- images stored by Label Studio ---


class LabelStudio(http.server.BaseHTTPRequestHandler):
    """Server that returns `photo` to clients with the correct token."""

    photo = b""

    def do_POST(self):
        refresh = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["refresh"]
        self.answer(200 if self.path == "/api/token/refresh" and refresh == JWT else 401, b'{"access": "short"}')

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path == "/data/upload/1/away.png":
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.server.server_port}/data/upload/1/a.png")
            self.end_headers()
        elif self.headers.get("Authorization") not in ("Token legacy", "Bearer short"):
            self.answer(401, b"no")
        else:
            self.answer(200 if self.path.startswith("/data/") else 404, self.photo)

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def label_studio(photo):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (LabelStudio,), {"photo": photo(BOX)}))
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("key", ["legacy", JWT])
def test_uploaded_and_local_images(serve, label_studio, key):
    client = serve(tasks=TaskImages(label_studio.url, key))
    images = ["/data/upload/1/a b.png", "/data/local-files/?d=photos/a.png", f"{label_studio.url}/data/upload/1/c.png"]
    answer = client.post("/predict", json=predict_request(*images)).json()
    assert [len(prediction["result"]) for prediction in answer["results"]] == [1, 1, 1]
    expected = ["/data/upload/1/a%20b.png", "/data/local-files/?d=photos/a.png", "/data/upload/1/c.png"]
    assert sorted(label_studio.asked) == sorted(expected)


@pytest.mark.parametrize(
    "image",
    [
        "http://169.254.169.254/data/x",
        "//169.254.169.254/data/x",
        "https://example.org/data/a.png",
        "file:///etc/passwd",
        "/etc/passwd",
        "/api/users",
        "/data/../api/users",
        "/data/%2e%2e/api/users",
        "/data//../../api",
        "\\\\host\\data",
        "s3://bucket/a.png",
        "@evil/data/a.png",
        None,
        {"url": "/data/a.png"},
    ],
)
def test_other_urls_are_not_fetched(serve, label_studio, image):
    answer = serve(tasks=TaskImages(label_studio.url, "legacy")).post("/predict", json=predict_request(image))
    assert answer.status_code == 422 and label_studio.asked == []


@pytest.mark.parametrize("suffix", [".evil.org/data/a.png", "@evil.org/data/a.png", "0/data/a.png"])
def test_an_origin_is_not_a_prefix(label_studio, suffix):
    with pytest.raises(ValueError, match="is not below"):
        TaskImages(label_studio.url).read(label_studio.url + suffix)


def test_redirects_and_rejections_are_errors(label_studio):
    images = TaskImages(label_studio.url, "legacy")
    with pytest.raises(ValueError, match="responded with 302"):
        images.read("/data/upload/1/away.png")
    with pytest.raises(ValueError, match="responded with 401"):
        TaskImages(label_studio.url, "wrong").read("/data/upload/1/a.png")
    with pytest.raises(ValueError, match="larger than"):
        TaskImages(label_studio.url, "legacy", max_bytes=10).read("/data/upload/1/a.png")


def test_without_the_option_label_studio(serve):
    answer = serve().post("/predict", json=predict_request("/data/upload/1/a.png"))
    assert answer.status_code == 422 and "--label-studio" in answer.json()["detail"]
    with pytest.raises(ValueError, match="--label-studio"):
        TaskImages("localhost:8080")
