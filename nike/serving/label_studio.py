"""Endpoints of a machine learning backend for Label Studio: `/health`, `/setup`, `/predict` and `/webhook`.

Source: label-studio-ml-backend, `label_studio_ml/api.py`; Label Studio, `ml/api_connector.py`.
"""

import asyncio
import logging
from typing import Any
from uuid import uuid4

import numpy as np
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from mrcnn import __version__
from mrcnn.detections import Detection, Detections
from mrcnn.detections.formats import outlines
from nike.serving.images import UnusableImageError
from nike.serving.label_config import LabelConfig, parse_label_config
from nike.serving.service import Service
from nike.serving.task_images import TaskImages

MAX_TASKS = 1000  # per request
MAX_FETCHED = 4  # maximum number of tasks whose images are in memory at the same time
logger = logging.getLogger("uvicorn.error")


class SetupRequest(BaseModel):
    """The request that Label Studio sends to connect a backend. `hostname` and `access_token` are not used."""

    label_config: str = Field("", alias="schema", max_length=1 << 20)


class Task(BaseModel):
    """A task. `data` contains the image under the key given in the labelling configuration."""

    id: int | str | None = None
    data: dict[str, Any] = {}


class PredictRequest(BaseModel):
    """A request for predictions."""

    tasks: list[Task] = Field(max_length=MAX_TASKS)
    label_config: str = Field(max_length=1 << 20)


def regions(result: Detections, class_names: list[str], config: LabelConfig) -> list[dict[str, Any]]:
    """Returns Label Studio's `result` list with polygons or rectangles as percentages of the image size.

    Args:
        result: detections of one image. Classes that are not labels of the project are skipped.
        class_names: class names by class id, background first.
        config: labelling configuration of the project.
    """
    height, width = result.image_shape
    found = []
    for i, detection in enumerate(result):
        label = config.label_of(class_names[detection.class_id])
        if label is None:
            continue
        for value in _polygon_values(result, i) if config.is_polygon else [_box_value(detection, height, width)]:
            region = {"id": uuid4().hex[:10], "from_name": config.from_name, "to_name": config.to_name}
            region |= {"type": config.type, "value": value | {config.type: [label]}, "score": detection.score}
            region |= {"original_width": width, "original_height": height, "image_rotation": 0}
            found.append(region)
    return found


def _polygon_values(result: Detections, index: int) -> list[dict[str, Any]]:
    height, width = result.image_shape
    percent = np.array([100 / width, 100 / height])
    return [{"points": (points * percent).round(4).tolist(), "closed": True} for points in outlines(result, index)]


def _box_value(detection: Detection, height: int, width: int) -> dict[str, Any]:
    y1, x1, y2, x2 = detection.box
    size = {"width": 100 * (x2 - x1) / width, "height": 100 * (y2 - y1) / height}
    return {"x": 100 * x1 / width, "y": 100 * y1 / height, "rotation": 0} | size


def router(service: Service, images: TaskImages) -> APIRouter:
    """Returns the routes.

    Args:
        service: detection service.
        images: reader of the images of tasks.
    """
    routes = APIRouter(tags=["Label Studio"])
    version = f"{service.name}-{__version__}"
    fetch_slots = asyncio.Semaphore(MAX_FETCHED)

    @routes.get("/health")
    async def health() -> dict[str, str]:
        """Returns the status of the backend."""
        return {"status": "UP", "model_class": "nike serve"}

    @routes.post("/setup")
    async def setup(request: SetupRequest) -> dict[str, str]:
        """Checks the labelling configuration of a project."""
        if request.label_config:
            _parse_config(request.label_config)
        return {"model_version": version}

    @routes.post("/predict")
    async def predict(request: PredictRequest) -> dict[str, Any]:
        """Returns predictions in the order of the tasks. A task without a usable image has an empty prediction."""
        config = _parse_config(request.label_config)

        def encode(image: np.ndarray, result: Detections) -> dict[str, Any]:
            found = regions(result, service.class_names, config)
            score = float(np.mean([region["score"] for region in found])) if found else 0.0
            return {"result": found, "score": score, "model_version": version}

        async def predict_one(task: Task) -> dict[str, Any]:
            async with fetch_slots:
                # In a thread, a slow Label Studio server does not block other requests.
                data = await asyncio.to_thread(images.read, task.data.get(config.image_key))
                return await service.detect(lambda: data, encode)

        results = await asyncio.gather(*map(predict_one, request.tasks), return_exceptions=True)
        return {"results": _without_failures(results, version), "model_version": version}

    @routes.post("/webhook", status_code=201)
    async def webhook(event: dict[str, Any]) -> dict[str, str]:
        """Accepts and ignores events, because the server does not train."""
        return {}

    return routes


def _parse_config(text: str) -> LabelConfig:
    try:
        return parse_label_config(text)
    except ValueError as error:
        raise HTTPException(422, str(error)) from None


def _without_failures(results: list[Any], version: str) -> list[dict[str, Any]]:
    """Replaces the results of failed tasks by empty predictions. Raises the first exception if all tasks failed."""
    failures = [result for result in results if isinstance(result, BaseException)]
    for failure in failures:
        if not isinstance(failure, UnusableImageError) or len(failures) == len(results):
            raise failure
        logger.warning("Label Studio task without predictions: %s", failure)
    empty = {"result": [], "score": 0.0, "model_version": version}
    return [empty if isinstance(result, BaseException) else result for result in results]
