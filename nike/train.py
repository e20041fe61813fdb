"""`nike train`: trains on labelled photos, tells how well it goes, and goes on where a run stopped."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nike import cli  # first: it quiets TensorFlow
from nike.dataset import SAMPLE_DATA

AUGMENTATIONS = ("off", "light", "medium", "strong")
WARMUP_STEPS = 100
DESCRIPTION = """\
Trains the network on labelled photos, says after each round how good it is, and keeps the
best weights. It can be stopped at any moment (Ctrl-C); --resume goes on exactly there."""
EXAMPLES = """\
examples:
  nike train                                          on the sample photos that ship
  nike train --weights=coco --dataset my_photos       fine-tune on your photos
  nike train --dataset my_photos --val my_val_photos --epochs 60 --image-size 640
  nike train --resume                                 go on where the last run stopped (Ctrl-C, crash, power cut)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike train`."""
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    data = parser.add_argument_group("photos")
    data.add_argument(
        "--dataset", type=Path, default=SAMPLE_DATA, metavar="DIR", help="labelled photos (default: the sample photos)"
    )
    data.add_argument("--val", type=Path, metavar="DIR", help="photos to validate on, if they lie elsewhere")
    data.add_argument(
        "--val-split", type=float, metavar="SHARE", help="share of the photos to validate on, such as 0.2"
    )
    data.add_argument(
        "--negatives", type=Path, action="append", default=[], metavar="DIR", help="more photos, without any logo"
    )
    data.add_argument(
        "--also", type=Path, action="append", default=[], metavar="DIR", help="more labelled photos, to train on only"
    )
    data.add_argument(
        "--labels", default="nike", metavar="NAMES", help="classes, such as nike,swoosh=nike (default: nike)"
    )
    data.add_argument(
        "--augment", choices=AUGMENTATIONS, default="medium", help="how much photos are varied (default: medium)"
    )
    data.add_argument("--strict", action="store_true", help="stop at the first photo that cannot be used")
    data.add_argument("--workers", type=int, metavar="N", help="threads that prepare photos (default: one a core)")

    network = parser.add_argument_group("network")
    network.add_argument(
        "--weights",
        default="coco",
        metavar="NAME",
        help="to start from: coco, imagenet, nike, last, none or a file (default: coco)",
    )
    network.add_argument(
        "--backbone", metavar="NAME", help="resnet50, resnet101, mobilenet_v2, ... (default: as the weights have)"
    )
    network.add_argument("--image-size", type=int, metavar="PIXELS", help="side of the network's square (default: 512)")
    network.add_argument("--config", type=Path, metavar="FILE", help="JSON or YAML with any settings of NikeConfig")
    network.add_argument("--name", help="name of the log folder and the checkpoints (default: nike)")

    learning = parser.add_argument_group("learning")
    learning.add_argument("--epochs", type=int, default=30, metavar="N", help="rounds in total (default: 30)")
    learning.add_argument("--steps", type=int, metavar="N", help="batches in an epoch (default: all photos once)")
    learning.add_argument("--batch", type=int, metavar="N", help="photos in a step, on each device (default: 2)")
    learning.add_argument(
        "--layers", metavar="SET", help="which learn: heads, 3+, 4+, 5+, all, or a regular expression"
    )
    learning.add_argument(
        "--schedule",
        choices=("heads-then-all", "alternating"),
        default="heads-then-all",
        help="without --layers (default: heads-then-all)",
    )
    learning.add_argument("--lr", type=float, metavar="RATE", help="learning rate (default: by optimizer and batch)")
    learning.add_argument(
        "--lr-schedule",
        choices=("constant", "cosine", "step"),
        default="cosine",
        help="how the rate falls (default: cosine)",
    )
    learning.add_argument(
        "--warmup", type=int, default=WARMUP_STEPS, metavar="STEPS", help="steps in which the rate rises (default: 100)"
    )
    learning.add_argument("--optimizer", choices=("adamw", "sgd"), default="adamw", help="(default: adamw)")
    learning.add_argument(
        "--ema", type=float, default=0.0, metavar="MOMENTUM", help="average the weights, with 0.998, say (default: off)"
    )
    learning.add_argument(
        "--accumulate", type=int, default=1, metavar="N", help="batches for one update, on one device (default: 1)"
    )
    learning.add_argument("--seed", type=int, default=0, metavar="N", help="another seed, other chances (default: 0)")
    learning.add_argument(
        "--mixed-precision", choices=("auto", "on", "off"), default="auto", help="compute in bfloat16 (default: auto)"
    )

    run = parser.add_argument_group("run")
    run.add_argument(
        "--logs", type=Path, default=Path("logs"), metavar="DIR", help="folder for the runs (default: logs)"
    )
    run.add_argument(
        "--resume", nargs="?", const="last", metavar="RUN", help="go on with the last run, or a folder or checkpoint"
    )
    run.add_argument(
        "--validate-every",
        type=int,
        default=1,
        metavar="EPOCHS",
        help="rounds from one validation to the next (default: 1)",
    )
    run.add_argument(
        "--validation-photos",
        type=int,
        metavar="N",
        help="images for validation AP at most, a fixed random subset (default: 500; 0: all)",
    )
    run.add_argument(
        "--patience", type=int, default=0, metavar="N", help="stop after N validations without gain (default: 0, never)"
    )
    run.add_argument("--keep", type=int, default=3, metavar="N", help="latest checkpoints to keep (default: 3; 0: all)")
    run.add_argument("--devices", type=int, default=1, metavar="N", help="GPUs to share each step (default: 1)")


def run_command(argv: list[str]) -> int:
    """Does what the options ask for; returns the exit code."""
    from nike.training.run import continue_run, new_run

    arguments = parse(argv)
    run = new_run(arguments, argv) if arguments.resume is None else continue_run(arguments, argv)
    run.start()
    return 0


def parse(argv: list[str]) -> argparse.Namespace:
    """The options of a command line."""
    return cli.parser("train", add_arguments).parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike train` and `python nike/train.py`."""
    argv = sys.argv[1:] if argv is None else argv
    return cli.run(lambda: run_command(argv), argv)


if __name__ == "__main__":
    sys.exit(main())
