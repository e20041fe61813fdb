"""Pre-annotation in CVAT: a function file for `cvat-cli` that queries a running `nike serve`.

    cvat-cli --server-host http://localhost:8080 task auto-annotate 137 \\
        --function-file nike/serving/cvat_function.py -p url=str:http://127.0.0.1:8000 --allow-unmatched-labels

It requires only cvat-cli. Copy the file to the machine where that is installed. The token of the
server is read from the environment variable NIKE_TOKEN.

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
    """CVAT's detection function: polygons that the server detects.

    Args:
        url: URL of the server.

    Raises:
        RuntimeError: the server does not answer.
    """

    def __init__(self, url: str = DEFAULT_URL):
        self._url = url.rstrip("/")
        info = self._ask("/v1/info")
        self._classes: list[str] = info["classes"]
        self._lowest: float = info["lowest_confidence"]

    @property
    def spec(self) -> cvataa.DetectionFunctionSpec:
        """The labels, which CVAT matches with those of the task by name."""
        labels = [cvataa.label_spec(name, number, type="polygon") for number, name in enumerate(self._classes, 1)]
        return cvataa.DetectionFunctionSpec(labels=labels)

    def detect(self, context: cvataa.DetectionFunctionContext, image: PIL.Image.Image) -> list[Any]:
        """Returns the polygons on a frame. The parts of one mask form a group."""
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "PNG", compress_level=1)
        threshold = context.conf_threshold
        query = "" if threshold is None else f"?min_confidence={max(threshold, self._lowest)}"
        shapes = []
        for number, found in enumerate(self._ask(f"/v1/detect{query}", buffer.getvalue())["detections"], 1):
            group = number if len(found["polygons"]) > 1 else 0
            for points in found["polygons"]:
                flat = [coordinate for point in points for coordinate in point]
                shapes.append(cvataa.polygon(found["class_id"], flat, group=group))
        return shapes

    def _ask(self, path: str, body: bytes | None = None) -> Any:
        headers = {"Content-Type": "image/png"} if body else {}
        if token := os.environ.get("NIKE_TOKEN"):
            headers["Authorization"] = f"Bearer {token}"
        try:
            request = urllib.request.Request(self._url + path, body, headers)
            with urllib.request.urlopen(request, timeout=SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise RuntimeError(
                f"{self._url} answers {error.code}: {error.read(500).decode(errors='replace')}"
            ) from None
        except OSError as error:
            raise RuntimeError(f"{self._url} does not answer ({error}). Start it: nike serve.") from None


create = ServerFunction
