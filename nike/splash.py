"""`nike splash`: color splash of an image or a video, like the `splash` command of Matterport's balloon sample."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import PIL.Image

from mrcnn.atomic import replacing
from mrcnn.errors import UserError
from mrcnn.inference.prefetch import prefetch
from mrcnn.visualization.drawing import color_splash
from nike import cli  # imported first to suppress TensorFlow's messages
from nike.detection.options import add_detector_arguments, load_chosen_detector
from nike.detection.output_formats import union_mask
from nike.detection.progress import ProgressBar, report_failures
from nike.detection.sources import Picture, Source, find_sources, read_pictures
from nike.detection.stream import detect_pictures
from nike.detection.video_writing import new_video
from nike.output_checks import check_output_file

EPILOG = """\
examples:
  nike splash --image photo.jpg
  nike splash --weights=best --image https://example.org/shoe.jpg
  nike splash --video clip.mp4 --output gray.mp4
  nike detect --save splash photos/               many images

Exit code: 0 written; 1 the image or video could not be used; 2 invalid options.
"""


def save_image(pictures: Iterator[tuple[Picture, dict]], output: Path) -> int:
    """Writes the color splash of the first image. Returns the number of images written, 0 or 1."""
    for picture, result in pictures:
        with replacing(output) as temporary:
            PIL.Image.fromarray(color_splash(picture.image, union_mask(result))).save(temporary)
        return 1
    return 0


def save_video(pictures: Iterator[tuple[Picture, dict]], output: Path) -> int:
    """Writes the color splash of all frames to one video. Returns the number of frames."""
    count = 0
    with ExitStack() as stack, ProgressBar(None, "frame", lines=False) as progress:
        try:
            for picture, result in pictures:
                if not count:
                    add = stack.enter_context(new_video(output, picture.rate, picture.image.shape))
                add(color_splash(picture.image, union_mask(result)))
                progress.step("")
                count += 1
        except KeyboardInterrupt:
            if not count:
                raise
            stack.close()  # finalizes the video file
            raise KeyboardInterrupt(f"Interrupted. The first {count} frames are saved to {output}.") from None
    return count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike splash`."""
    parser.description = "Turn an image or a video gray except for the detected logos."
    parser.epilog = EPILOG
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--image", metavar="PATH", help="image file or URL")
    source.add_argument("--video", metavar="PATH", help="video file or URL")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="output file: .png or .jpg for images, .mp4 for videos (default: splash_TIME.png or .mp4 in the current "
        "folder)",
    )
    add_detector_arguments(parser)


def _resolve_output(source: Source, given: Path | None) -> Path:
    suffixes = (".mp4",) if source.is_video else (".png", ".jpg", ".jpeg")
    output = given or Path(f"splash_{datetime.datetime.now():%Y%m%dT%H%M%S}{'.mp4' if source.is_video else '.png'}")
    if output.suffix.lower() not in suffixes:
        expected = ".mp4" if source.is_video else ".png or .jpg"
        raise UserError(f"--output: expected a file name that ends in {expected}, got {output}.")
    if source.path is not None and output.exists() and output.samefile(source.path):
        raise UserError(f"--output: {output} is the input file. Choose another name.")
    check_output_file(output, "--output")
    return output


def run_command(arguments: argparse.Namespace) -> int:
    """Runs detection and writes the color splash. Returns 1 if the image or video could not be used, else 0."""
    named = find_sources([arguments.image or arguments.video])
    if len(named) > 1:
        raise UserError(
            f"{arguments.image or arguments.video}: expected one file, got {len(named)}. Use nike detect --save splash."
        )
    source = Source(named[0].name, named[0].path, is_video=arguments.video is not None)
    output = _resolve_output(source, arguments.output)
    detector = load_chosen_detector(arguments)
    failures: list[str] = []
    pictures = detect_pictures(detector, prefetch(read_pictures([source])), failures.append)
    count = save_video(pictures, output) if source.is_video else save_image(pictures, output)
    if count:
        print(f"Saved to {output}")
    return report_failures(failures, f"The {'video' if source.is_video else 'image'} could not be used:")


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike splash` and `python nike/splash.py`."""
    return cli.start("splash", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
