"""The function file for cvat-cli, loaded and run by the SDK of CVAT against a running server.

The CVAT server is replaced: frames are in memory, and uploaded shapes are recorded.
"""

import io
import threading
import types
from pathlib import Path
from unittest import mock

import PIL.Image
import pytest
import uvicorn

from nike import serving
from nike.serving.app import create_app

driver = pytest.importorskip("cvat_sdk.auto_annotation.driver", reason="pip install cvat-cli")
FILE = Path(serving.__file__).with_name("cvat_function.py")
BOX = (5, 10, 25, 30)  # in an image of 60 x 80 pixels; the score is 0.625
TOKEN = "correct-horse-battery"


@pytest.fixture
def url(gate):
    server = uvicorn.Server(uvicorn.Config(create_app(gate, token=TOKEN), port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(20)


def annotate(url, *frames, **options):
    """Runs the code of `cvat-cli task auto-annotate` and returns the uploaded shapes."""
    common = pytest.importorskip("cvat_cli._internal.common", reason="pip install cvat-cli")
    samples = [
        types.SimpleNamespace(frame_name=f"{i}.png", frame_index=i, media=mock.Mock(load_image=lambda data=data: data))
        for i, data in enumerate(frames)
    ]
    label = types.SimpleNamespace(name="nike", id=77, type="polygon", attributes=[], sublabels=[])
    dataset, client = types.SimpleNamespace(labels=[label], samples=samples), mock.Mock()
    function = common.FunctionLoader(None, FILE, {"url": url}).load()
    with mock.patch.object(driver, "TaskDataset", lambda *arguments, **more: dataset):
        driver.annotate_task(client, 1, function, **options)
    return client.tasks.api.partial_update_annotations.call_args.kwargs["patched_labeled_data_request"].shapes


def test_polygons_of_a_task(url, photo, monkeypatch):
    monkeypatch.setenv("NIKE_TOKEN", TOKEN)
    frames = [PIL.Image.open(io.BytesIO(data)) for data in (photo(), photo(BOX))]
    (shape,) = annotate(url, *frames)
    assert (shape.type.value, shape.label_id, shape.frame, shape.source) == ("polygon", 77, 1, "auto")
    xs, ys = shape.points[::2], shape.points[1::2]
    assert (min(xs), max(xs), min(ys), max(ys)) == (10.5, 29.5, 5.5, 24.5)
    assert annotate(url, *frames, conf_threshold=0.63) == []
    assert len(annotate(url, *frames, conf_threshold=0.0)) == 1  # lower than the lowest threshold of the server


def test_rejections_are_messages(url, monkeypatch):
    monkeypatch.delenv("NIKE_TOKEN", raising=False)
    with pytest.raises(Exception, match="answers 401"):
        annotate(url)
    with pytest.raises(Exception, match="does not respond"):
        annotate("http://127.0.0.1:1")
