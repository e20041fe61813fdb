"""The command `nike`: dispatches to the subcommands and reports errors."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from mrcnn import __version__
from mrcnn.errors import UserError

# TensorFlow reads these variables when it is imported. They suppress all its log messages. Errors are also raised as
# exceptions and therefore not lost.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("ABSL_MIN_LOG_LEVEL", "3")

COMMANDS = {
    "train": "fine-tune on labelled images, or continue a run",
    "detect": "detect logos in images and videos",
    "catalogue": "detect logos in millions of images with Ray Data",
    "splash": "turn an image or a video gray except for the logo",
    "evaluate": "evaluate weights on labelled images",
    "compare": "compare two weights files on the same images",
    "runs": "list training runs with their best AP",
    "serve": "serve detection over HTTP, to a browser and to annotation tools",
    "check": "check a dataset before training",
    "synthesize": "generate synthetic labelled images of a logo",
    "annotate": "annotate images in labelme, starting from predictions",
    "pack": "pack trained weights into one small file",
    "export": "export weights for OpenVINO, ONNX Runtime, LiteRT or TensorFlow Serving",
    "push": "upload weights with a model card to the Hugging Face Hub",
    "convert": "convert a dataset to labelme, COCO, YOLO, Roboflow, VOC, CVAT or Label Studio",
    "open-images": "download images and masks of chosen Open Images classes",
}
EXAMPLES = """\
examples:
  nike train                                   train on the bundled sample images
  nike check my_photos                         check the dataset
  nike train --weights=coco --dataset my_photos
  nike train --resume                          continue the last run
  nike detect --weights=best photo.jpg         detect with the best weights
  nike COMMAND --help                          list the options of a command
"""
PACKAGES = tuple(Path(__file__).resolve().parents[1] / name for name in ("mrcnn", "nike"))
MAX_LISTED_CALLS = 3  # number of traceback entries from PACKAGES in the report of a bug
EXIT_BUG = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130  # shell convention for Ctrl-C: 128 + SIGINT


def run(function: Callable[[], int | None], argv: Sequence[str] | None = None) -> int:
    """Runs a command and reports errors on stderr.

    An error that the user can correct (UserError, OSError, MemoryError) is reported in one line. Any other exception is
    a bug: the message includes the last traceback entries and asks the user to report it.

    Args:
        function: the command; returns the exit code, or None for 0.
        argv: command-line arguments, or None for `sys.argv[1:]`. With `--debug`, exceptions are raised again.

    Returns:
        The exit code of the command, 2 after a user error, 1 after a bug, or 130 after Ctrl-C.
    """
    arguments = sys.argv[1:] if argv is None else argv
    try:
        return function() or 0
    except (UserError, OSError, MemoryError) as error:
        if "--debug" in arguments:
            raise
        if isinstance(error, BrokenPipeError):  # stdout was closed, for example by `nike ... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_USER_ERROR
        print(f"error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt as interruption:
        print(f"\n{interruption}" if str(interruption) else "\nInterrupted.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception as error:
        if "--debug" in arguments:
            raise
        print(_describe_bug(error), file=sys.stderr)
        return EXIT_BUG


def _describe_bug(error: Exception) -> str:
    """Returns the report of a bug: the exception, the last traceback entries, and a request to report it."""
    calls = traceback.extract_tb(error.__traceback__)
    package_calls = [call for call in calls if any(map(Path(call.filename).is_relative_to, PACKAGES))]
    shown = [*package_calls[-MAX_LISTED_CALLS:], *(calls[-1:] if calls[-1:] != package_calls[-1:] else [])]
    lines = [f"  {call.filename}, line {call.lineno}, in {call.name}: {call.line}" for call in shown]
    return "\n".join(
        [
            f"internal error: {type(error).__name__}: {error}",
            *lines,
            f"This is a bug in nike {__version__}. Please report it with these lines and the command. --debug shows "
            "the full traceback.",
        ]
    )


def start(
    name: str,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    run_command: Callable[[argparse.Namespace], int | None],
    argv: Sequence[str] | None = None,
) -> int:
    """Parses the options of a command and runs it.

    Args:
        name: see `parser`.
        add_arguments: adds the options to a parser.
        run_command: runs the command with the parsed options.
        argv: command-line arguments, or None for `sys.argv[1:]`.

    Returns:
        The exit code; see `run`.
    """
    return run(lambda: run_command(parser(name, add_arguments).parse_args(argv)), argv)


class _Parser(argparse.ArgumentParser):
    """An argument parser that reports errors in one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USER_ERROR, f"error: {message}. See {self.prog} --help.\n")


def parser(name: str, add_arguments: Callable[[argparse.ArgumentParser], None]) -> argparse.ArgumentParser:
    """Returns the argument parser of a command: one of COMMANDS, or the module of `python -m MODULE`."""
    prog = f"nike {name}" if name in COMMANDS else f"python -m {name}"
    new = _Parser(prog=prog, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(new)
    new.add_argument("--debug", action="store_true", help="show the traceback after an error")
    return new


def add_device_argument(parser: argparse._ActionsContainer) -> None:
    """Adds `--device`; see `mrcnn.training.devices.prepare_devices`."""
    parser.add_argument(
        "--device", metavar="NAME", help="cpu, gpu, or one of several GPUs such as gpu:1 (default: gpu if available)"
    )


def comma_separated(known: Iterable[str] = ()) -> Callable[[str], list[str]]:
    """Returns a parser of comma-separated names for the `type` of `add_argument`.

    The parser removes duplicates.

    Args:
        known: valid names. If empty, all names are valid.
    """

    def parse(text: str) -> list[str]:
        names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
        if not names or (known and not set(names) <= set(known)):
            expected = f"of {','.join(known)}" if known else "names"
            raise argparse.ArgumentTypeError(f"expected one or more {expected}, got {text!r}")
        return names

    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `nike`. Only the module of the given command is imported."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv and argv[0] in COMMANDS:
        name = f"nike.{argv[0].replace('-', '_')}"
        return run(lambda: importlib.import_module(name).main(argv[1:]), argv)  # also handles Ctrl-C during the import
    commands = _commands()
    if not argv:
        commands.print_help()
        return 0
    commands.parse_args(argv)  # --help, --version, or the error for an unknown command
    return 0


def _commands() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:12} {text}" for name, text in COMMANDS.items())
    new = _Parser(
        prog="nike",
        usage="nike COMMAND [options]",
        description=f"Segment logos in images.\n\ncommands:\n{listed}",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    new.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    new.add_argument("--version", action="version", version=f"nike {__version__}")
    return new
