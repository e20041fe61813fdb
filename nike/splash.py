"""`nike splash`: one photo or video in grey, the logo in colour; as the `splash` of Matterport's balloon sample."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import PIL.Image

from mrcnn.visualization.drawing import color_splash
from nike import cli  # first: it quiets TensorFlow
from nike.atomic import replacing
from nike.detection.background import ahead
from nike.detection.detector import add_detector_arguments, load_detector
from nike.detection.progress import Progress, report_failures
from nike.detection.sources import Picture, Source, find_sources, read
from nike.detection.stream import detect_stream
from nike.detection.video import new_video

EPILOG = """\
examples:
  nike splash --image photo.jpg
  nike splash --weights=best --image https://example.org/shoe.jpg
  nike splash --video clip.mp4 --output grey.mp4
  nike detect --save splash photos/               for many photos

Exit code: 0 written; 1 the photo or video could not be used; 2 a mistake in the command.
"""


def save_image(pictures: Iterator[tuple[Picture, dict]], output: Path) -> int:
    """Writes the splash of the first picture; returns how many there were."""
    for picture, result in pictures:
        with replacing(output) as temporary:
            PIL.Image.fromarray(color_splash(picture.image, result["masks"])).save(temporary)
        return 1
    return 0


def save_video(pictures: Iterator[tuple[Picture, dict]], output: Path) -> int:
    """Writes the splash of all frames as one video; returns how many there were."""
    count = 0
    with ExitStack() as stack, Progress(None, "frame", lines=False) as progress:
        try:
            for picture, result in pictures:
                if not count:
                    add = stack.enter_context(new_video(output, picture.rate, picture.image.shape))
                add(color_splash(picture.image, result["masks"]))
                progress.step("")
                count += 1
        except KeyboardInterrupt:
            if not count:
                raise
            stack.close()  # completes the file
            raise KeyboardInterrupt(f"Stopped. Saved to {output}, as far as it got: {count} frames.") from None
    return count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike splash`."""
    parser.description = "Turns a photo or a video grey, all but the logo."
    parser.epilog = EPILOG
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--image", metavar="PATH", help="photo, or its web address")
    what.add_argument("--video", metavar="PATH", help="video, or its web address")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="file to write: .png, .jpg or .mp4 (default: splash_TIME in this folder)",
    )
    add_detector_arguments(parser)


def _output(source: Source, given: Path | None) -> Path:
    suffixes = (".mp4",) if source.is_video else (".png", ".jpg", ".jpeg")
    output = given or Path(f"splash_{datetime.datetime.now():%Y%m%dT%H%M%S}{'.mp4' if source.is_video else '.png'}")
    if output.suffix.lower() not in suffixes:
        expected = ".mp4" if source.is_video else ".png or .jpg"
        raise ValueError(f"--output: expected a file that ends in {expected}, got {output}.")
    if source.path is not None and output.exists() and output.samefile(source.path):
        raise ValueError(f"--output: {output} is the source itself. Choose another name.")
    return output


def run_command(arguments: argparse.Namespace) -> int:
    """Detects and writes; returns the exit code."""
    named = find_sources([arguments.image or arguments.video])
    if len(named) > 1:
        raise ValueError(f"{arguments.image or arguments.video}: is {len(named)} files; use nike detect --save splash.")
    source = Source(named[0].name, named[0].path, is_video=arguments.video is not None)
    output = _output(source, arguments.output)
    detector = load_detector(arguments)
    failures: list[str] = []
    pictures = detect_stream(detector, ahead(read([source])), failures.append)
    count = save_video(pictures, output) if source.is_video else save_image(pictures, output)
    if count:
        print(f"Saved to {output}")
    return report_failures(failures, "It could not be used:")


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike splash` and `python nike/splash.py`."""
    return cli.start("splash", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
