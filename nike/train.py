"""`nike train`: fine-tunes Mask R-CNN on labelled images, or continues a run."""

from __future__ import annotations

import sys

from nike import cli  # imported first to suppress TensorFlow's messages
from nike.training.options import add_arguments, parse

__all__ = ["add_arguments", "main", "parse"]


def run_command(argv: list[str]) -> int:
    """Starts or continues a run with the options of a command line. Returns the exit code."""
    from nike.training.run import continue_run, new_run

    arguments = parse(argv)
    run = new_run(arguments, argv) if arguments.resume is None else continue_run(arguments, argv)
    run.start()
    return 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike train` and `python nike/train.py`."""
    argv = sys.argv[1:] if argv is None else argv
    return cli.run(lambda: run_command(argv), argv)


if __name__ == "__main__":
    sys.exit(main())
