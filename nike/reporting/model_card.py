"""The model card of a weights file: README.md of its repository, with the metadata of the Hugging Face Hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from nike.formatting import printable

TASK = "image-segmentation"
LIBRARY = "nike-mrcnn"
TAGS = ("mask-rcnn", "instance-segmentation", "object-detection", "keras", "tensorflow")
METRICS = {"mask_AP": "mask AP", "mask_AP50": "mask AP50", "box_AP": "box AP", "box_AP50": "box AP50"}


@dataclass(frozen=True)
class Evaluation:
    """Metrics of the weights on labelled images.

    Attributes:
        data: description of the images.
        values: COCO metrics in 0..1, by name (a key of METRICS).
    """

    data: str
    values: dict[str, float]


@dataclass(frozen=True)
class ModelCard:
    """Contents of a model card.

    Attributes:
        repository: owner and name of the repository.
        file: name of the weights file in the repository.
        bytes: size of the file.
        sha256: digest of the file in hexadecimal digits.
        classes: class names without background.
        backbone: name of the backbone, or None if the file has no Config.
        image_size: side of the network's input in pixels, or None.
        weights: number of weights (scalars).
        dtype: type of the stored weights, such as "float16".
        license: license identifier of the Hub, such as "mit".
        evaluation: metrics, or None.
        training_images: number of training images, or None.
    """

    repository: str
    file: str
    bytes: int
    sha256: str
    classes: Sequence[str]
    backbone: str | None
    image_size: int | None
    weights: int
    dtype: str
    license: str
    evaluation: Evaluation | None = None
    training_images: int | None = None


def render(card: ModelCard) -> str:
    """Returns the text of the card, Markdown with a YAML header."""
    header = yaml.safe_dump(_metadata(card), sort_keys=False, allow_unicode=True)
    sections = (_title(card), _usage(card), _model(card), _evaluation(card), _limitations())
    return f"---\n{header}---\n\n" + "\n\n".join(sections) + "\n"


def _metadata(card: ModelCard) -> dict[str, Any]:
    values: dict[str, Any] = {"license": card.license, "library_name": LIBRARY, "pipeline_tag": TASK}
    values["tags"] = [*TAGS, *([card.backbone] if card.backbone else [])]
    if card.evaluation is not None:
        metrics = [{"type": name, "name": METRICS[name], "value": v} for name, v in card.evaluation.values.items()]
        dataset = {"type": "custom", "name": card.evaluation.data}
        result = {"task": {"type": TASK}, "dataset": dataset, "metrics": metrics}
        values["model-index"] = [{"name": card.repository, "results": [result]}]
    return values


def _title(card: ModelCard) -> str:
    name = card.repository.partition("/")[2]
    return f"# {name}\n\nMask R-CNN that segments {_format_names(card.classes)} in images. Trained with nike-mrcnn."


def _usage(card: ModelCard) -> str:
    reference = f"hf://{card.repository}/{card.file}#sha256={card.sha256}"
    command = f"nike detect photo.jpg --weights '{reference}'"
    python = f'from mrcnn import MaskRCNN\n\nmodel = MaskRCNN.from_checkpoint("{reference}")'
    python += '\nresult = model.detect(["photo.jpg"])[0]'
    install = "These commands download the file and check its SHA-256. They require the extra `hub` of nike-mrcnn."
    return f"## Usage\n\n{install}\n\n```\n{command}\n```\n\n```python\n{python}\n```"


def _model(card: ModelCard) -> str:
    rows = [
        ("File", f"`{card.file}`, {card.bytes:,} bytes, HDF5 weights without code"),
        ("SHA-256", f"`{card.sha256}`"),
        ("Classes", _format_names(card.classes)),
        ("Backbone", _inline_code(card.backbone) if card.backbone else "not stored in the file"),
        ("Input", f"{card.image_size} x {card.image_size} pixels" if card.image_size else "not stored in the file"),
        ("Weights", f"{card.weights:,}, {card.dtype}"),
    ]
    if card.training_images is not None:
        rows.append(("Training images", f"{card.training_images:,}"))
    return "## Model\n\n| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows)


def _evaluation(card: ModelCard) -> str:
    if card.evaluation is None:
        return "## Evaluation\n\nNo metrics are available for this file."
    rows = "\n".join(f"| {METRICS[name]} | {value:.3f} |" for name, value in card.evaluation.values.items())
    return f"## Evaluation\n\nCOCO metrics on {card.evaluation.data}.\n\n| Metric | Value |\n|---|---|\n{rows}"


def _limitations() -> str:
    return (
        "## Limitations\n\nMetrics can be lower on images that differ from the training images. Evaluate the weights "
        "on your own labelled images with `nike evaluate` before you rely on them."
    )


def _format_names(names: Sequence[str]) -> str:
    return ", ".join(map(_inline_code, names)) or "objects"


def _inline_code(text: str) -> str:
    """Formats untrusted text as inline code. Backticks and pipes, which would end the code, are replaced by spaces."""
    return f"`{re.sub(r'[`|]', ' ', printable(text)).strip() or ' '}`"
