"""`nike serve`: detection over HTTP, with a page to try it and the protocols of annotation tools."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import Any

import numpy as np

from nike import cli  # first: it quiets TensorFlow
from nike.detection.detector import Detector, add_detector_arguments, chosen_weights, load_detector, read_settings
from nike.serving.limits import Limits

LOWEST = 0.1  # score down to which detections are computed; a request chooses its threshold above it
INSTALL = "nike serve needs its extra: pip install 'nike-mrcnn[serve]', or pip install -e '.[serve]' in the repository."
MIN_TOKEN = 16  # characters

DESCRIPTION = """\
Detects objects in images that are sent over HTTP. POST an image to /v1/detect, or open the page at / in a browser.
X-AnyLabeling, Label Studio and CVAT can use the server for pre-annotation."""
EPILOG = """\
environment:
  NIKE_TOKEN               token that requests must carry (Authorization: Bearer TOKEN); not set: none
  LABEL_STUDIO_API_KEY     access token of the Label Studio at --label-studio

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
        "--host", default="127.0.0.1", help="address to listen on; 0.0.0.0: all (default: 127.0.0.1, this machine only)"
    )
    network.add_argument("--port", type=int, default=8000, metavar="N", help="port; 0: any free one (default: 8000)")
    network.add_argument("--label-studio", metavar="URL", help="Label Studio to get the images of its tasks from")
    default = Limits()
    limits.add_argument(
        "--queue", type=int, default=default.queue, metavar="N", help="requests in progress; more get 503 (default: 64)"
    )
    limits.add_argument(
        "--max-wait",
        type=float,
        default=1000 * default.wait,
        metavar="MS",
        help="milliseconds to wait for a batch to fill (default: 5)",
    )
    limits.add_argument(
        "--max-megabytes", type=float, default=default.bytes >> 20, metavar="N", help="size of a request (default: 32)"
    )
    limits.add_argument(
        "--max-megapixels", type=float, default=default.pixels / 1e6, metavar="N", help="of an image (default: 64)"
    )
    limits.add_argument(
        "--timeout", type=float, default=default.seconds, metavar="S", help="seconds for a request (default: 60)"
    )
    add_detector_arguments(parser)


def limits_of(arguments: argparse.Namespace) -> Limits:
    """The limits that the options describe. Raises ValueError if one is not positive."""
    return Limits(
        queue=arguments.queue,
        batch=arguments.batch,
        wait=arguments.max_wait / 1000,
        bytes=int(arguments.max_megabytes * (1 << 20)),
        pixels=int(arguments.max_megapixels * 1e6),
        seconds=arguments.timeout,
    )


def token_in(environment: dict[str, str]) -> str | None:
    """The token that requests must carry.

    Raises:
        ValueError: it is too short, or not printable ASCII without spaces.
    """
    token = environment.get("NIKE_TOKEN")
    if token is None:
        return None
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(
            f"NIKE_TOKEN: expected at least {MIN_TOKEN} printable ASCII characters without spaces, got {len(token)}. "
            "Make one: openssl rand -hex 32."
        )
    return token


def load(arguments: argparse.Namespace) -> tuple[Detector, float]:
    """The detector, ready for scores down to LOWEST, and the default threshold of requests.

    Box voting and mask scores do not depend on the threshold, so a lower one adds detections and changes none.
    """
    threshold = arguments.min_confidence
    if threshold is None:
        config, _ = read_settings(chosen_weights(arguments), arguments.config)
        threshold = float(config.DETECTION_MIN_CONFIDENCE or 0)
    lowered = argparse.Namespace(**{**vars(arguments), "min_confidence": min(threshold, LOWEST)})
    detector = load_detector(lowered)
    blank = np.zeros((64, 64, 3), np.uint8)
    list(detector.detect([blank] * arguments.batch))  # compiles the network before the first request
    return detector, threshold


def run_command(arguments: argparse.Namespace) -> int:
    """Serves until SIGTERM or Ctrl-C."""
    try:
        import uvicorn

        from nike.serving.app import create_app
        from nike.serving.task_images import TaskImages
    except ModuleNotFoundError as error:
        raise ValueError(f"{INSTALL} (No module named {error.name!r}.)") from None
    limits, token = limits_of(arguments), token_in(dict(os.environ))
    if not 0 <= arguments.port <= 65535:
        raise ValueError(f"--port: expected a number from 0 to 65535, got {arguments.port}.")
    tasks = TaskImages(arguments.label_studio, os.environ.get("LABEL_STUDIO_API_KEY", ""), limits.bytes)
    # uvicorn repeats the signal that ended it when all requests are answered: exit code 0, not that of a kill.
    signal.signal(signal.SIGTERM, _exit)
    detector, threshold = load(arguments)
    app = create_app(detector, limits, default_confidence=threshold, token=token, tasks=tasks)
    server = uvicorn.Server(server_config(app, arguments))
    server.run()
    return 0 if server.started else cli.EXIT_USER_ERROR


def server_config(app: Any, arguments: argparse.Namespace) -> Any:
    """Settings of uvicorn.

    Args:
        app: the application.
        arguments: of the command.
    """
    import uvicorn

    return uvicorn.Config(
        app,
        host=arguments.host,
        port=arguments.port,
        access_log=False,  # /metrics counts; a line for each request would say who sent what
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
