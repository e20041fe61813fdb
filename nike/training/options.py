"""The options of `nike train`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mrcnn.choices import OPTIMIZERS, PRECISIONS, SCHEDULES
from nike import cli
from nike.datasets.nike_dataset import SAMPLE_DATA
from nike.training.batch_size import parse_batch
from nike.training.stages import STAGE_SCHEDULES, WARMUP_FRACTION, WARMUP_STEPS, parse_stage
from nike.training.time_budget import parse_time
from nike.training.trackers import TRACKERS

AUGMENTATIONS = ("off", "light", "medium", "strong")
TASKS = ("masks", "boxes")
EPOCHS = 30
MIN_STEPS = 20  # minimum steps per epoch; with few images, validation would otherwise take longer than training
PATIENCE = 20  # high enough for a 30-epoch run to reach the low learning rates of the cosine schedule
EMA = 0.998  # averages over about 500 steps, and over fewer steps at the beginning; see `WeightAverage`
DESCRIPTION = """\
Fine-tune Mask R-CNN on labelled images. Validation AP is reported after every epoch and the
best checkpoint is kept. Interrupt with Ctrl-C; --resume continues from the exact step."""
EXAMPLES = """\
examples:
  nike train                                          on the bundled sample images
  nike train --weights=coco --dataset my_photos       fine-tune on your photos
  nike train --dataset my_photos --val my_val_photos --epochs 60 --image-size 640
  nike train --dataset my_photos --time 2h            as many epochs as possible in two hours
  nike train --stages heads,10 4+,20 all,30,1e-5      layers, epochs and learning rates of the stages
  nike train --resume                                 continue the last run
"""


class _Replacing(argparse.Action):
    """Stores the value of an option and resets the options that it replaces, so that the last one applies."""

    def __init__(self, *args, replaces: dict[str, Any], **kwargs):
        super().__init__(*args, **kwargs)
        self.replaces = replaces

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, values)
        for name, value in self.replaces.items():
            setattr(namespace, name, value)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike train` to a parser."""
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    data = parser.add_argument_group("data")
    data.add_argument(
        "--dataset", type=Path, default=SAMPLE_DATA, metavar="DIR", help="labelled images (default: the sample images)"
    )
    data.add_argument("--val", type=Path, metavar="DIR", help="separate folder of validation images")
    data.add_argument(
        "--val-split",
        type=float,
        metavar="FRACTION",
        help="fraction of the images for validation (default: the split of the dataset, else 0.2)",
    )
    data.add_argument(
        "--negatives",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="folder of additional images without logos; can be repeated",
    )
    data.add_argument(
        "--extra-data",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="folder of additional labelled training images; can be repeated",
    )
    data.add_argument(
        "--labels", metavar="NAMES", help="classes, such as nike,swoosh=nike (default: the labels in the files)"
    )
    data.add_argument(
        "--augment", choices=AUGMENTATIONS, default="medium", help="strength of the augmentation (default: medium)"
    )
    data.add_argument("--strict", action="store_true", help="stop at the first image that cannot be used")
    data.add_argument(
        "--workers", type=int, metavar="N", help="data loading threads (default: one per core, from 2 to 8)"
    )

    network = parser.add_argument_group("network")
    network.add_argument(
        "--task",
        choices=TASKS,
        default=TASKS[0],
        help="masks (Mask R-CNN), or boxes (Faster R-CNN), which requires only box annotations (default: masks)",
    )
    network.add_argument(
        "--weights",
        default="coco",
        metavar="NAME",
        help="initial weights: coco, imagenet, nike, best or last of an earlier run, none, a file or hf://owner/name "
        "(default: coco); if only the backbone has initial weights, the feature pyramid and the heads are narrow",
    )
    network.add_argument(
        "--backbone",
        metavar="NAME",
        help="backbone: resnet50, resnet101, mobilenet_v2, ... (default: value in --config, else in the weights)",
    )
    network.add_argument(
        "--image-size",
        type=int,
        metavar="PIXELS",
        help="side of the square network input (default: value in --config, else 512)",
    )
    network.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="JSON or YAML file with NikeConfig settings and STAGES, a list of stages as in --stages",
    )
    network.add_argument(
        "--name",
        help="name of the log folder and the checkpoints (default: nike); best, last and --resume choose the newest "
        "run of this name (default: of any name)",
    )

    learning = parser.add_argument_group("optimization")
    learning.add_argument(
        "--epochs", type=int, metavar="N", help=f"total number of epochs (default: {EPOCHS}, or the sum over --stages)"
    )
    learning.add_argument(
        "--time",
        type=parse_time,
        metavar="TIME",
        help="duration of the run, such as 2h, 30m or 90s, instead of --epochs; the numbers of epochs and steps are "
        "chosen after a short trial",
    )
    learning.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help=f"steps per epoch (default: value in --config, else one pass over the images, at least {MIN_STEPS} steps)",
    )
    learning.add_argument(
        "--batch",
        type=parse_batch,
        metavar="N",
        help="images per step and device, or auto: the largest power of two up to 16 whose measured peak memory stays "
        "under 60%% of the available memory (default: value in --config, else 2)",
    )
    learning.add_argument(
        "--layers",
        action=_Replacing,
        replaces={"stages": []},
        metavar="SET",
        help="layers to train in a single stage: heads, 3+, 4+, 5+, all, or a regular expression on layer names",
    )
    learning.add_argument(
        "--schedule",
        action=_Replacing,
        replaces={"stages": []},
        choices=STAGE_SCHEDULES,
        default=STAGE_SCHEDULES[0],
        help="training stages if neither --layers nor --stages is given. heads-first: heads for a sixth of the epochs, "
        "then 3+; without initial weights of the backbone, only all (default: heads-first)",
    )
    learning.add_argument(
        "--stages",
        action=_Replacing,
        replaces={"layers": None},
        type=parse_stage,
        nargs="+",
        default=[],
        metavar="STAGE",
        help="training stages, separated by spaces, instead of --layers and --schedule. A stage is LAYERS,EPOCHS or "
        "LAYERS,EPOCHS,RATE (default of RATE: --lr), such as heads,5 all,25,1e-4. The learning rate schedule restarts "
        "in each stage. --epochs and --time divide their epochs among the stages in proportion",
    )
    learning.add_argument(
        "--lr",
        type=float,
        metavar="RATE",
        help="learning rate (default: value in --config, else derived from the optimizer, the batch size and "
        "--weights)",
    )
    learning.add_argument(
        "--lr-schedule",
        choices=SCHEDULES,
        default="cosine",
        help="learning rate schedule; in heads-first, of the second stage (default: cosine)",
    )
    learning.add_argument(
        "--warmup",
        type=int,
        metavar="STEPS",
        help="warm-up steps of the learning rate in each stage (default: "
        f"{100 * WARMUP_FRACTION:g}%% of the steps of the stage, at most {WARMUP_STEPS})",
    )
    learning.add_argument("--optimizer", choices=OPTIMIZERS, default="adamw", help="optimizer (default: adamw)")
    learning.add_argument(
        "--ema",
        type=float,
        default=EMA,
        metavar="MOMENTUM",
        help="momentum of the moving average of the weights; the averaged weights are validated and saved (default: "
        f"{EMA}; 0: off)",
    )
    learning.add_argument(
        "--accumulate",
        type=int,
        default=1,
        metavar="N",
        help="batches per weight update, on one device only (default: 1)",
    )
    learning.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default: 0)")
    learning.add_argument(
        "--mixed-precision",
        choices=PRECISIONS,
        default="auto",
        help="compute in bfloat16; auto enables it if a short benchmark is clearly faster in bfloat16 (default: auto)",
    )

    run = parser.add_argument_group("run")
    run.add_argument(
        "--logs", type=Path, default=Path("logs"), metavar="DIR", help="folder of the runs (default: logs)"
    )
    run.add_argument(
        "--resume",
        nargs="?",
        const="last",
        metavar="RUN",
        help="continue the last run, or the run given by its log folder or a checkpoint",
    )
    run.add_argument(
        "--validate-every",
        type=int,
        default=1,
        metavar="EPOCHS",
        help="epochs between validations (default: 1; 0: no validation and no best checkpoint)",
    )
    run.add_argument(
        "--validation-photos",
        type=int,
        metavar="N",
        help="maximum number of images for validation AP; a fixed random subset is used (default: VALIDATION_STEPS "
        "batches if --config sets it, else 500; 0: all)",
    )
    run.add_argument(
        "--patience",
        type=int,
        default=PATIENCE,
        metavar="N",
        help="end a stage after N validations without improvement in mask AP (box AP with --task boxes); the next "
        "stage takes over its remaining epochs (default: 20; 0: never)",
    )
    run.add_argument(
        "--keep", type=int, default=3, metavar="N", help="number of latest checkpoints to keep (default: 3; 0: all)"
    )
    run.add_argument(
        "--log",
        type=cli.comma_separated(("tensorboard", *TRACKERS)),
        default=[],
        metavar="NAMES",
        help="also report to mlflow, wandb or both, separated by commas (default: TensorBoard and CSV files only)",
    )
    cli.add_device_argument(run)
    run.add_argument(
        "--devices", type=int, default=1, metavar="N", help="number of GPUs (default: value in --config, else 1)"
    )


def parse(argv: list[str]) -> argparse.Namespace:
    """Parses the command line of `nike train`."""
    return cli.parser("train", add_arguments).parse_args(argv)
