"""`nike serve`: HTTP server for detection, with a demo page and endpoints for annotation tools."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import warnings
from typing import Any

import numpy as np

from mrcnn.errors import UserError
from nike import cli  # imported first to suppress TensorFlow's messages
from nike.detection.detector import Detector
from nike.detection.options import add_detector_arguments, load_chosen_detector
from nike.detection.weights import read_settings, resolve_weights
from nike.serving.limits import Limits

MIN_THRESHOLD = 0.1  # minimum score threshold that a request can choose
INSTALL = (
    "nike serve requires an extra: pip install 'nike-mrcnn[serve]', or pip install -e '.[serve]' in the repository."
)
MIN_TOKEN = 16  # characters

DESCRIPTION = """\
Run a detection server. POST an image to /v1/detect, or open the page at / in a browser.
X-AnyLabeling, Label Studio and CVAT can use the server for pre-annotation."""
EPILOG = """\
environment:
  NIKE_TOKEN               token required in requests (Authorization: Bearer TOKEN; default: no token)
  LABEL_STUDIO_API_KEY     access token for --label-studio

examples:
  nike serve
  nike serve --weights=best --port 9000
  curl --data-binary @photo.jpg http://127.0.0.1:8000/v1/detect
  curl --data-binary @photo.jpg 'http://127.0.0.1:8000/v1/detect?format=png' > overlay.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike serve`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    network, limits = parser.add_argument_group("network"), parser.add_argument_group("limits")
    network.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0 for all interfaces (default: 127.0.0.1, this machine only)",
    )
    network.add_argument(
        "--port", type=int, default=8000, metavar="N", help="port; 0 for any free port (default: 8000)"
    )
    network.add_argument(
        "--label-studio", metavar="URL", help="URL of the Label Studio server that stores the images of tasks"
    )
    default = Limits()
    limits.add_argument(
        "--queue",
        type=int,
        default=default.queue,
        metavar="N",
        help="maximum number of pending requests; further requests get status 503 (default: 64)",
    )
    limits.add_argument(
        "--max-wait",
        type=float,
        default=1000 * default.wait,
        metavar="MS",
        help="maximum time in milliseconds to wait for a full batch (default: 5)",
    )
    limits.add_argument(
        "--max-megabytes",
        type=float,
        default=default.bytes >> 20,
        metavar="N",
        help="maximum size of a request in MiB (default: 32)",
    )
    limits.add_argument(
        "--max-megapixels",
        type=float,
        default=default.pixels / 1e6,
        metavar="N",
        help="maximum size of an image in megapixels (default: 64)",
    )
    limits.add_argument(
        "--timeout",
        type=float,
        default=default.seconds,
        metavar="S",
        help="timeout of a request in seconds (default: 60)",
    )
    add_detector_arguments(parser)


def parse_limits(arguments: argparse.Namespace) -> Limits:
    """Returns the limits given by the options. Raises ValueError if one is not a positive number."""
    for name in ("max_megabytes", "max_megapixels", "timeout"):
        if not 0 < (value := getattr(arguments, name)) < math.inf:
            raise UserError(f"--{name.replace('_', '-')}: expected a positive number, got {value:g}.")
    return Limits(
        queue=arguments.queue,
        batch=arguments.batch,
        wait=arguments.max_wait / 1000,
        bytes=int(arguments.max_megabytes * (1 << 20)),
        pixels=int(arguments.max_megapixels * 1e6),
        seconds=arguments.timeout,
    )


def read_token(environment: dict[str, str]) -> str | None:
    """Returns the token that requests must contain, or None.

    Raises:
        ValueError: if the token is too short, or not printable ASCII without spaces.
    """
    token = environment.get("NIKE_TOKEN")
    if token is None:
        return None
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise UserError(
            f"NIKE_TOKEN: expected at least {MIN_TOKEN} printable ASCII characters without spaces, got {len(token)}. "
            "Create a token with: openssl rand -hex 32."
        )
    return token


def load(arguments: argparse.Namespace) -> tuple[Detector, float]:
    """Loads the detector with a low score threshold. Returns the detector and the default threshold of requests.

    A lower threshold adds detections and does not change the others, because box voting and mask scores do not depend
    on the threshold.
    """
    threshold = arguments.min_confidence
    if threshold is None:
        path = resolve_weights(arguments.weights, arguments.logs, arguments.name)
        config, _ = read_settings(path, arguments.config)
        threshold = float(config.DETECTION_MIN_CONFIDENCE or 0)
    lowered = argparse.Namespace(**{**vars(arguments), "min_confidence": min(threshold, MIN_THRESHOLD)})
    detector = load_chosen_detector(lowered)
    blank = np.zeros((64, 64, 3), np.uint8)
    list(detector.detect([blank] * arguments.batch))  # traces the network before the first request
    return detector, threshold


def run_command(arguments: argparse.Namespace) -> int:
    """Runs the server until SIGTERM or Ctrl-C."""
    try:
        import uvicorn

        from nike.serving.app import create_app
        from nike.serving.task_images import TaskImages
    except ModuleNotFoundError as error:
        raise UserError(f"{INSTALL} (No module named {error.name!r}.)") from None
    limits, token = parse_limits(arguments), read_token(dict(os.environ))
    if not 0 <= arguments.port <= 65535:
        raise UserError(f"--port: expected a number from 0 to 65535, got {arguments.port}.")
    tasks = TaskImages(arguments.label_studio, os.environ.get("LABEL_STUDIO_API_KEY", ""), limits.bytes)
    # uvicorn raises the signal again after the last response. This handler then exits with code 0.
    signal.signal(signal.SIGTERM, _exit)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # damaged uploads are reported in the response
    detector, threshold = load(arguments)
    app = create_app(detector, limits, default_confidence=threshold, token=token, tasks=tasks)
    server = uvicorn.Server(server_config(app, arguments))
    server.run()
    return 0 if server.started else cli.EXIT_USER_ERROR


def server_config(app: Any, arguments: argparse.Namespace) -> Any:
    """Returns the settings of uvicorn.

    Args:
        app: ASGI application.
        arguments: parsed options.
    """
    import uvicorn

    return uvicorn.Config(
        app,
        host=arguments.host,
        port=arguments.port,
        access_log=False,  # for privacy; /metrics reports the request counts
        server_header=False,
        h11_max_incomplete_event_size=1 << 16,  # request line and headers
        timeout_keep_alive=15,
        timeout_graceful_shutdown=int(arguments.timeout) + 5,
    )


def _exit(number: int, frame: Any) -> None:
    sys.exit(0)


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike serve` and `python nike/serve.py`."""
    return cli.start("serve", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
