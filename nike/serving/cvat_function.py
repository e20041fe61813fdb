"""Pre-annotation in CVAT: a function file for `cvat-cli` that queries a running `nike serve`.

    cvat-cli --server-host http://localhost:8080 task auto-annotate 137 \\
        --function-file nike/serving/cvat_function.py -p url=str:http://127.0.0.1:8000 --allow-unmatched-labels

The file requires only cvat-cli. Copy it to the machine on which cvat-cli is installed. The token of
the server is read from the environment variable NIKE_TOKEN.

Source: CVAT's documentation of the auto-annotation interface, `cvat_sdk.auto_annotation`.
"""

from __future__ import annotations

import io
import json
import os
import urllib.error
import urllib.request
from typing import Any

import cvat_sdk.auto_annotation as cvataa
import PIL.Image

DEFAULT_URL = "http://127.0.0.1:8000"
SECONDS = 120


class ServerFunction:
    """A detection function for CVAT, which returns polygons from the server.

    Args:
        url: URL of the server.

    Raises:
        RuntimeError: if the server does not respond.
    """

    def __init__(self, url: str = DEFAULT_URL):
        self._url = url.rstrip("/")
        info = self._request("/v1/info")
        self._classes: list[str] = info["classes"]
        self._lowest: float = info["lowest_confidence"]

    @property
    def spec(self) -> cvataa.DetectionFunctionSpec:
        """The labels of the model. CVAT matches them with the labels of the task by name."""
        labels = [cvataa.label_spec(name, number, type="polygon") for number, name in enumerate(self._classes, 1)]
        return cvataa.DetectionFunctionSpec(labels=labels)

    def detect(self, context: cvataa.DetectionFunctionContext, image: PIL.Image.Image) -> list[Any]:
        """Returns the polygons on a frame. The parts of one mask form a group."""
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "PNG", compress_level=1)
        threshold = context.conf_threshold
        query = "" if threshold is None else f"?min_confidence={max(threshold, self._lowest)}"
        shapes = []
        for number, found in enumerate(self._request(f"/v1/detect{query}", buffer.getvalue())["detections"], 1):
            group = number if len(found["polygons"]) > 1 else 0
            for points in found["polygons"]:
                flat = [coordinate for point in points for coordinate in point]
                shapes.append(cvataa.polygon(found["class_id"], flat, group=group))
        return shapes

    def _request(self, path: str, body: bytes | None = None) -> Any:
        headers = {"Content-Type": "image/png"} if body else {}
        if token := os.environ.get("NIKE_TOKEN"):
            headers["Authorization"] = f"Bearer {token}"
        try:
            request = urllib.request.Request(self._url + path, body, headers)
            with urllib.request.urlopen(request, timeout=SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise RuntimeError(
                f"{self._url} responded with {error.code}: {error.read(500).decode(errors='replace')}"
            ) from None
        except OSError as error:
            raise RuntimeError(f"{self._url} does not respond ({error}). Start the server with: nike serve.") from None


create = ServerFunction
