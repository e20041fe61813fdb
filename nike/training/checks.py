"""Checks the options of `nike train` before slow operations."""

from __future__ import annotations

import argparse
import json
import math
import os

from mrcnn.errors import UserError
from mrcnn.layer_sets import layer_regex


def check_options(arguments: argparse.Namespace) -> None:
    """Raises ValueError if an option is out of range."""
    positive = ("epochs", "steps", "batch", "accumulate", "image_size", "workers", "devices")
    not_negative = ("warmup", "seed", "patience", "keep", "validate_every", "validation_photos")
    for least, names in ((1, positive), (0, not_negative)):
        for name in names:
            value = getattr(arguments, name)
            if value not in (None, "auto") and value < least:
                raise UserError(f"--{name.replace('_', '-')}: expected at least {least}, got {value}.")
    if arguments.seed >= 2**32:
        raise UserError(f"--seed: expected a number below 2^32, got {arguments.seed}.")
    if arguments.lr is not None and not 0 < arguments.lr < math.inf:
        raise UserError(f"--lr: expected a number above 0, got {arguments.lr}.")
    if not 0 <= arguments.ema < 1:
        raise UserError(f"--ema: expected 0 (off) or a momentum below 1, got {arguments.ema}.")
    if arguments.time is not None and os.environ.get("TF_CONFIG"):
        raise UserError("--time: supported on one machine only, because times differ between machines. Use --epochs.")
    if arguments.batch == "auto" and os.environ.get("TF_CONFIG"):
        raise UserError("--batch auto: supported on one machine only, because memory differs between machines.")
    if arguments.accumulate > 1 and count_replicas(arguments.devices) > 1:
        raise UserError("--accumulate: supported on one device only. Use a larger --batch instead.")
    layer_regex(arguments.layers or "", "--layers")


def count_replicas(devices: int) -> int:
    """Returns the number of replicas: devices per worker times workers in TF_CONFIG (1 without TF_CONFIG)."""
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
        workers = sum(len(cluster.get(kind, ())) for kind in ("chief", "worker"))
    except (ValueError, AttributeError, TypeError):
        raise UserError('TF_CONFIG: expected JSON such as {"cluster": {"worker": ["host:port", ...]}, ...}.') from None
    return devices * max(workers, 1)
