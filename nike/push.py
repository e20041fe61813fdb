"""`nike push`: uploads trained weights with a model card to the Hugging Face Hub."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from mrcnn.checkpoints import read_checkpoint
from mrcnn.checkpoints.hub import check_repository, hub_errors, sha256_of
from mrcnn.checkpoints.log_dirs import parse_checkpoint
from mrcnn.errors import UserError
from nike import cli  # imported first to suppress TensorFlow's messages
from nike.datasets.safe_json import read_json
from nike.detection.weights import resolve_weights
from nike.formatting import plural, printable, short
from nike.reporting.model_card import METRICS, Evaluation, ModelCard, render
from nike.runs import HISTORY, read_history
from nike.training.run_split import read_run_photos

FILE_NAME = re.compile(r"[A-Za-z0-9][\w.-]*\.h5", re.ASCII)
LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]*")
DESCRIPTION = """\
Upload weights with a model card to a model repository of the Hugging Face Hub. Other commands
load them with --weights hf://OWNER/NAME. The repository is created if it does not exist."""
EPILOG = """\
The card lists the classes, the network, the SHA-256 of the file, and metrics from --scores or, by default, from the
training run. Log in with `hf auth login` or set HF_TOKEN. Set HF_ENDPOINT to use another server.
Run `nike pack` first to upload a smaller file.

examples:
  nike push best me/shoes --dry-run
  nike push shoes.h5 me/shoes --license mit --scores scores.json
  nike push best me/shoes --private"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike push`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("weights", metavar="WEIGHTS", help="weights file (.h5), best, last or nike")
    parser.add_argument("repository", metavar="OWNER/NAME", help="model repository")
    parser.add_argument("--file", metavar="NAME", help="name in the repository (default: name of the weights file)")
    parser.add_argument(
        "--license", default="unknown", metavar="ID", help="license, such as mit or cc-by-4.0 (default: unknown)"
    )
    parser.add_argument(
        "--scores",
        type=Path,
        metavar="FILE",
        help="metrics written by `nike evaluate --json FILE` (default: metrics of the training run)",
    )
    parser.add_argument("--private", action="store_true", help="create a private repository")
    parser.add_argument("--keep-card", action="store_true", help="do not replace the README.md of the repository")
    parser.add_argument("--dry-run", action="store_true", help="print the card without uploading anything")
    parser.add_argument(
        "--logs", type=Path, default=Path("logs"), metavar="DIR", help="folder of the runs (default: logs)"
    )
    parser.add_argument("--name", help="name of the run for best and last (default: newest run of any name)")


def run_command(arguments: argparse.Namespace) -> int:
    """Uploads the weights and prints how to use them."""
    check_repository(arguments.repository)
    if not LICENSE.fullmatch(arguments.license):
        raise UserError(f"--license: expected an identifier such as mit or cc-by-4.0, got {arguments.license!r}.")
    path = resolve_weights(arguments.weights, arguments.logs, arguments.name)
    name = arguments.file or path.name
    if not FILE_NAME.fullmatch(name):
        raise UserError(f"--file: expected a name of letters, digits, . _ - that ends in .h5, got {printable(name)!r}.")
    evaluation = read_scores(arguments.scores) if arguments.scores else read_run_metrics(path)
    card = make_card(path, arguments.repository, name, arguments.license, evaluation)
    if arguments.dry_run:
        print(render(card), end="")
        return 0
    commit = upload(path, card, arguments.private, arguments.keep_card)
    print(f"{path}: uploaded to {arguments.repository}. Use it with:")
    print(f"nike detect photo.jpg --weights 'hf://{card.repository}@{commit}/{name}#sha256={card.sha256}'")
    return 0


def make_card(path: Path, repository: str, name: str, license: str, evaluation: Evaluation | None) -> ModelCard:
    """Creates the model card of a weights file.

    Args:
        path: HDF5 weights file. Its content is checked.
        repository: repository id, `owner/name`.
        name: name of the file in the repository.
        license: license identifier of the Hub, such as "mit".
        evaluation: metrics, or None.

    Raises:
        ValueError: if the file is damaged or has no Mask R-CNN heads.
    """
    with read_checkpoint(path) as checkpoint:
        if "mrcnn_class_logits" not in checkpoint.layers:
            raise UserError(f"{path}: expected the weights of a Mask R-CNN, got a file without mrcnn_class_logits.")
        arrays = [array for layer in checkpoint.layers.values() for array in layer.weights.values()]
        names, config = checkpoint.metadata.get("class_names"), checkpoint.config or {}
        sizes = Counter({str(array.dtype): 0 for array in arrays})
        for array in arrays:
            sizes[str(array.dtype)] += array.size
        photos = read_run_photos(path) if parse_checkpoint(path) or path.name.endswith("_best.h5") else None
        is_list = isinstance(names, list) and all(isinstance(text, str) for text in names)
        return ModelCard(
            repository=repository,
            file=name,
            bytes=path.stat().st_size,
            sha256=sha256_of(path),
            classes=names[1:] if is_list else (),
            backbone=_value_of_type(config.get("BACKBONE"), str),
            image_size=_value_of_type(config.get("IMAGE_MAX_DIM"), int),
            weights=sizes.total(),
            dtype=sizes.most_common(1)[0][0],
            license=license,
            evaluation=evaluation,
            training_images=len(photos.train) if photos else None,
        )


def _value_of_type(value: Any, kind: type) -> Any:
    return value if isinstance(value, kind) else None


def read_run_metrics(path: Path) -> Evaluation | None:
    """Returns the validation metrics of the epoch after which a checkpoint was saved, or None if they are unknown."""
    parsed, history = parse_checkpoint(path), path.parent / HISTORY
    if not history.is_file() or (parsed is None and not path.name.endswith("_best.h5")):
        return None
    rows = read_history(history)
    ap = "val_mask_AP" if any("val_mask_AP" in row for row in rows) else "val_box_AP"
    rows = [row for row in rows if math.isfinite(row.get(ap, math.nan))]
    rows = [row for row in rows if parsed is None or row["epoch"] == parsed[1]]
    if not rows:
        return None
    row = max(rows, key=lambda row: row[ap])
    photos = read_run_photos(path)
    images = plural(len(photos.val), "validation image") if photos else "the validation images"
    values = {name: row[f"val_{name}"] for name in METRICS if math.isfinite(row.get(f"val_{name}", math.nan))}
    return Evaluation(f"{images} of the training run (epoch {row['epoch']:.0f}), used to select the epoch", values)


def read_scores(path: Path) -> Evaluation:
    """Reads the metrics of `nike evaluate --json`.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is not the output of `nike evaluate --json`.
    """
    scores = read_json(path)
    try:
        parts = {name: name.split("_") for name in METRICS}
        values = {name: scores[kind][key] for name, (kind, key) in parts.items() if kind == "box" or kind in scores}
        photos = scores["counts"]["photos"]
    except (KeyError, TypeError):
        raise UserError(f"--scores: {path}: expected the output of `nike evaluate --json`.") from None
    if not isinstance(photos, int) or not all(isinstance(v, float | int) and -1 <= v <= 1 for v in values.values()):
        raise UserError(f"--scores: {path}: expected metrics from 0 to 1 and a number of images, got {short(values)}.")
    return Evaluation(plural(photos, "labelled image"), {name: value for name, value in values.items() if value >= 0})


def upload(path: Path, card: ModelCard, private: bool, keep_card: bool) -> str:
    """Uploads a weights file and its card in one commit, and returns the commit id.

    Args:
        path: weights file.
        card: model card. It also contains the repository id and the name of the file in the repository.
        private: whether the repository must be private.
        keep_card: whether to keep an existing README.md of the repository.

    Raises:
        HubError: if the server refuses the request or cannot be reached. HubError is a ValueError.
        ValueError: if `private` is set, and the repository exists and is public.
    """
    with hub_errors(card.repository):
        from huggingface_hub import CommitOperationAdd, HfApi

        api = HfApi()
        api.create_repo(card.repository, private=private or None, exist_ok=True)
        if private and not api.model_info(card.repository).private:
            raise UserError(f"--private: {card.repository} exists and is public. Nothing was uploaded.")
        files: list[tuple[str, Any]] = [(card.file, str(path))]
        if not (keep_card and api.file_exists(card.repository, "README.md")):
            files.append(("README.md", render(card).encode()))
        operations = [CommitOperationAdd(name, content) for name, content in files]
        return api.create_commit(card.repository, operations, commit_message=f"Upload {card.file}").oid


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike push` and `python nike/push.py`."""
    return cli.start("push", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
