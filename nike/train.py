"""`nike train`: fine-tunes Mask R-CNN on labelled images, or continues a run."""

from __future__ import annotations

import os
import sys

from nike import cli  # imported first to suppress TensorFlow's messages
from nike.training.options import add_arguments, parse

__all__ = ["add_arguments", "main", "parse"]


def run_command(argv: list[str]) -> int:
    """Starts or continues a run with the options of a command line. Returns the exit code."""
    # TensorFlow disables oneDNN by default on CPUs without AVX512-VNNI. On these CPUs, oneDNN halves the time of a
    # training step but slows down detection on individual images, so the other commands keep TensorFlow's default.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # read when TensorFlow is imported
    from nike.training.preparation import continue_run, new_run
    from nike.training.run_config import prepend_config_options

    argv = prepend_config_options(argv)
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
