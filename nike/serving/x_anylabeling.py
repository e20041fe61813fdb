"""The protocol of X-AnyLabeling's remote server: `GET /v1/models` and `POST /v1/predict`.

Source: X-AnyLabeling 4.2, `services/auto_labeling/remote_server.py`, and X-AnyLabeling-Server, `docs/router.md`.
"""

from typing import Any

import numpy as np
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from mrcnn.detections import Detections
from mrcnn.detections.formats import outlines
from nike.serving.images import decode_base64
from nike.serving.service import Service


class Params(BaseModel):
    """Settings of a request. Settings for other types of models are ignored."""

    conf_threshold: float = Field(0.0, ge=0, le=1, description="score threshold; 0 for the server's default")
    filter_classes: list[str] | None = None


class PredictRequest(BaseModel):
    """A request for shapes."""

    model: str = Field(max_length=200)
    image: str = Field(description="image file in base64, optionally as a data URI")
    params: Params = Params()


def shapes(result: Detections, class_names: list[str], only: list[str] | None = None) -> list[dict[str, Any]]:
    """Converts detections to closed polygons. The parts of one mask have the same `group_id`.

    Args:
        result: detections of one image.
        class_names: class names by class id, background first.
        only: names of the classes to return. None or an empty list returns all.
    """
    found = []
    for number, detection in enumerate(result, start=1):
        label = class_names[detection.class_id]
        if only and label not in only:
            continue
        parts = outlines(result, number - 1)
        for points in parts:
            closed = [*points, points[0]]
            shape = {"label": label, "shape_type": "polygon", "points": closed}
            shape |= {"score": round(detection.score, 4), "group_id": number if len(parts) > 1 else None}
            shape |= {"attributes": {}, "description": None, "difficult": False, "direction": 0, "flags": {}}
            found.append(shape | {"kie_linking": []})
    return found


def router(service: Service) -> APIRouter:
    """Returns the routes."""
    routes = APIRouter(prefix="/v1", tags=["X-AnyLabeling"])
    widgets = [
        {"name": "button_run", "value": None},
        {"name": "edit_conf", "value": service.default_confidence},
        {"name": "toggle_preserve_existing_annotations", "value": False},
    ]
    model = {"display_name": f"{service.name} (nike serve)", "widgets": widgets, "params": {}}
    model["classes"] = service.class_names[1:]

    @routes.get("/models")
    async def models() -> dict[str, Any]:
        """Returns the only model of this server."""
        return {"success": True, "data": {service.name: model}}

    @routes.get("/models/{name}/info")
    async def model_info(name: str) -> dict[str, Any]:
        """Returns the model if it has the given name."""
        _check_name(name)
        return {"success": True, "data": {"model_id": service.name, **model}}

    @routes.post("/predict")
    async def predict(request: PredictRequest) -> dict[str, Any]:
        """Returns polygons for one image."""
        _check_name(request.model)
        threshold = request.params.conf_threshold or None

        def encode(image: np.ndarray, result: Detections) -> list[dict[str, Any]]:
            return shapes(result, service.class_names, request.params.filter_classes)

        found = await service.detect(lambda: decode_base64(request.image), encode, threshold)
        return {"success": True, "data": {"shapes": found, "description": "", "replace": None}}

    def _check_name(name: str) -> None:
        if name != service.name:
            raise HTTPException(404, f"The only model of this server is {service.name!r}.")

    return routes
