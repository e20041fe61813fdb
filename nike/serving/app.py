"""The FastAPI application, with routes for detection, the demo page, health, metrics and annotation tools."""

import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

import numpy as np
import PIL.Image
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi_offline import FastAPIOffline

from mrcnn import __version__
from mrcnn.detections import Detections
from mrcnn.detections.formats import MaskFormat
from mrcnn.visualization.drawing import overlay
from nike.formatting import printable
from nike.serving import label_studio, x_anylabeling
from nike.serving.images import NAME, UnusableImageError
from nike.serving.limits import Limits
from nike.serving.metrics import Metrics
from nike.serving.middleware import LimitRequests, MeasureRequests, RequireToken
from nike.serving.results import to_coco, to_json, to_labelme
from nike.serving.service import Service
from nike.serving.task_images import TaskImages
from nike.serving.worker import ImageDetector

PAGE = Path(__file__).parent / "page"
PAGE_FILES = {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js"}
OPEN_PATHS = ("/healthz", "/readyz", "/health", *PAGE_FILES)  # accessible without a token
# The page does not load files from other hosts. `blob:` and `data:` URLs are images created by the browser.
CONTENT_SECURITY = "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; frame-ancestors 'none'"
REQUEST_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"image": {"type": "string", "format": "binary"}}}
            },
        },
    }
}
Format = Literal["json", "coco", "labelme", "png"]


def create_app(
    detector: ImageDetector,
    limits: Limits | None = None,
    *,
    default_confidence: float = 0.0,
    token: str | None = None,
    tasks: TaskImages | None = None,
) -> FastAPI:
    """Builds the application.

    Args:
        detector: detector, used in one thread only.
        limits: limits of the requests.
        default_confidence: score threshold of requests without one.
        token: token that requests must contain, or None.
        tasks: reader of the images of Label Studio tasks. With None, only images embedded in a task are accepted.
    """
    limits, metrics = limits or Limits(), Metrics()
    service = Service(detector, limits, default_confidence, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await service.close()

    # FastAPIOffline serves all files of the page at /docs. FastAPI would load some from a content delivery network.
    app = FastAPIOffline(title="nike serve", version=__version__, lifespan=lifespan, redoc_url=None)
    app.state.service = service
    _add_detection(app, service)
    _add_operations(app, service)
    _add_page(app)
    app.include_router(x_anylabeling.router(service))
    app.include_router(label_studio.router(service, tasks or TaskImages()))
    app.add_exception_handler(UnusableImageError, _handle_unusable_image)
    app.add_exception_handler(RequestValidationError, _handle_invalid_request)
    paths = [*app.openapi()["paths"], *PAGE_FILES]
    app.add_middleware(LimitRequests, limits=limits, metrics=metrics)
    if token is not None:
        app.add_middleware(RequireToken, token=token, open_paths=OPEN_PATHS)
    app.add_middleware(MeasureRequests, metrics=metrics, paths=paths)  # added last, to measure all requests
    return app


async def _handle_unusable_image(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, getattr(error, "status", 422))


async def _handle_invalid_request(request: Request, error: RequestValidationError) -> JSONResponse:
    """Lists the invalid fields without their values, which may be large images or NaN (not valid in JSON)."""
    problems = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
    return JSONResponse({"detail": printable("; ".join(problems[:5]))[:500]}, 422)


# --- detection ---


def _add_detection(app: FastAPI, service: Service) -> None:
    lowest = service.lowest_confidence

    @app.post("/v1/detect", tags=["detection"], openapi_extra=REQUEST_BODY, response_model=None)
    async def detect(
        request: Request,
        format: Annotated[Format, Query(description="png: the image with tinted masks")] = "json",
        min_confidence: Annotated[float | None, Query(ge=lowest, le=1, description="score threshold")] = None,
        masks: Annotated[MaskFormat, Query(description="format of the masks in json")] = "polygons",
        name: Annotated[str, Query(max_length=255, description="file name to write into coco and labelme")] = NAME,
    ) -> Response:
        """Detects objects in one image: the request body, or the first file of a form."""
        data = await _read_upload(request)
        encode = make_encoder(format, masks, service.class_names, PurePath(printable(name)).name)
        return await service.detect(lambda: data, encode, min_confidence)

    @app.get("/v1/info", tags=["detection"])
    async def info() -> dict[str, Any]:
        """Returns the classes of the model and the limits of the server."""
        return {
            "model": service.name,
            "version": __version__,
            "classes": service.class_names[1:],
            "min_confidence": service.default_confidence,
            "lowest_confidence": lowest,
            "max_bytes": service.limits.bytes,
            "max_pixels": service.limits.pixels,
        }


async def _read_upload(request: Request) -> bytes:
    """Returns the content of the image file in a request."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return await request.body()
    async with request.form(max_files=1, max_fields=10) as form:
        for value in form.values():
            if not isinstance(value, str):
                return await value.read()
    raise UnusableImageError(f"{NAME}: the form contains no file. Send one with: curl -F image=@photo.jpg")


def make_encoder(
    format: Format, masks: MaskFormat, class_names: list[str], name: str
) -> Callable[[np.ndarray, Detections], Response]:
    """Returns a function that converts an image and its detections to the response in a format."""

    def encode(image: np.ndarray, result: Detections) -> Response:
        if format == "png":
            buffer = io.BytesIO()
            PIL.Image.fromarray(overlay(image, result, class_names)).save(buffer, "PNG", compress_level=1)
            return Response(buffer.getvalue(), media_type="image/png")
        if format == "json":
            return JSONResponse(to_json(result, class_names, masks))
        write = to_coco if format == "coco" else to_labelme
        return JSONResponse(write(result, class_names, name))

    return encode


# --- operation ---


def _add_operations(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", tags=["operation"], response_class=PlainTextResponse)
    async def healthz() -> str:
        """Returns ok while the process is alive."""
        return "ok\n"

    @app.get("/readyz", tags=["operation"], response_class=PlainTextResponse)
    async def readyz() -> PlainTextResponse:
        """Returns ready while images are accepted, else status 503."""
        return PlainTextResponse("ready\n") if service.is_ready else PlainTextResponse("closing\n", 503)

    @app.get("/metrics", tags=["operation"])
    async def metrics() -> Response:
        """Returns the metrics in the Prometheus text format."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


# --- page ---


def _add_page(app: FastAPI) -> None:
    for path, name in PAGE_FILES.items():
        app.add_api_route(path, _file_sender(PAGE / name), include_in_schema=False)


def _file_sender(path: Path) -> Callable[[], Any]:
    async def send() -> FileResponse:
        headers = {"Content-Security-Policy": CONTENT_SECURITY, "X-Content-Type-Options": "nosniff"}
        return FileResponse(path, headers=headers | {"Cache-Control": "no-cache"})

    return send
