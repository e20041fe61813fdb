"""Maps labels of annotation files to classes, and detects misspelled labels."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from mrcnn.errors import UserError
from nike.formatting import printable, short

IGNORE = ("ignore", "__ignore__")  # excluded from training and evaluation, neither positive nor negative
MAX_LISTED = 10  # maximum number of labels in a message
MIN_FREQUENCY_RATIO = 10  # a label is considered misspelled if a similar label is at least this many times as frequent


class Labels:
    """Mapping of labels to class names. Whitespace around a label is ignored.

    Args:
        labels: class names, a dict that maps labels to class names, or a value of `--labels` such as
            `"nike,swoosh=nike"`. Classes are numbered in the order of their first occurrence.

    Attributes:
        class_of_label: class name by label.
        classes: class names in the order of their class ids, without the background.

    Raises:
        ValueError: if there is no label, or a label or class name is empty, "BG" or one of IGNORE.
    """

    def __init__(self, labels: str | Iterable[str] | Mapping[str, str] = ("nike",)):
        if isinstance(labels, str):
            labels = [part for part in labels.split(",") if part.strip()]
        if not isinstance(labels, Mapping):
            pairs = [str(label).partition("=") for label in labels]
            labels = {label: target or label for label, _, target in pairs}
        self.class_of_label = {str(label).strip(): str(target).strip() for label, target in labels.items()}
        invalid = [name for pair in self.class_of_label.items() for name in pair if not name or name in (*IGNORE, "BG")]
        if invalid or not self.class_of_label:
            raise UserError(
                f"labels: expected class names such as 'nike' or 'nike,swoosh=nike', got "
                f"{', '.join(map(repr, invalid)) or 'none'} ({', '.join(IGNORE)} and BG are reserved)."
            )
        self.classes: list[str] = list(dict.fromkeys(self.class_of_label.values()))

    @classmethod
    def from_counts(cls, counts: Mapping[str, int]) -> Labels:
        """Derives the classes from the labels of a dataset, in alphabetical order. Without labels, the class is "nike".

        Labels in IGNORE and probable misspellings are not classes. A label is a probable misspelling if it differs from
        a more frequent label only in case, or if a similar label is at least MIN_FREQUENCY_RATIO times as frequent.

        Args:
            counts: number of instances by label.
        """
        classes: list[str] = []
        for label in _sort_by_frequency(counts):
            near = _find_similar(label, classes)
            same = near is not None and near.casefold() == label.casefold()
            similar = near is not None and _same_numbers(label, near)
            rare = similar and counts[label] * MIN_FREQUENCY_RATIO <= counts[near]
            if label and label != "BG" and not same and not rare and not _find_similar(label, IGNORE, cutoff=0.8):
                classes.append(label)
        return cls({label: label for label in sorted(classes)} or ("nike",))

    def for_classes(self, classes: Sequence[str]) -> Labels:
        """Returns this mapping with the classes of the weights, in the order of their class ids.

        Args:
            classes: class names of the weights, without the background.

        Raises:
            ValueError: if a label maps to a class that is not in `classes`.
        """
        unknown = [name for name in self.classes if name not in classes]
        if unknown:
            raise UserError(
                f"the weights have the classes {printable(', '.join(classes))}, but labels map to "
                f"{printable(', '.join(unknown))}. Map each label to a class of the weights: --labels LABEL=CLASS."
            )
        labels = Labels(self.class_of_label)
        labels.classes = list(classes)
        return labels

    @property
    def names(self) -> list[str]:
        """All labels that map to a class."""
        return list(self.class_of_label)

    def class_of(self, label: str) -> str | None:
        """Returns the class name of a label, or None if the label is ignored or unknown."""
        return self.class_of_label.get(label.strip())

    def is_ignored(self, label: str) -> bool:
        """Returns whether objects with this label are excluded from training and evaluation."""
        return label.strip() in IGNORE

    def find_similar(self, label: str) -> str | None:
        """Returns the known label that is most similar to an unknown label, or None if no label is similar."""
        return _find_similar(label, [*self.names, *IGNORE])


def _find_similar(label: str, known: Sequence[str], cutoff: float = 0.7) -> str | None:
    by_folded = {name.casefold(): name for name in reversed(known)}
    near = difflib.get_close_matches(label.strip().casefold()[:100], by_folded, n=1, cutoff=cutoff)
    return by_folded[near[0]] if near else None


def _same_numbers(label: str, near: str) -> bool:
    """Returns whether two labels contain the same numbers, unlike `air-max-90` and `air-max-97`."""
    return re.findall(r"\d+", label) == re.findall(r"\d+", near)


def _sort_by_frequency(counts: Mapping[str, int]) -> list[str]:
    # `swapcase` sorts lower-case labels first among equally frequent ones.
    return sorted(counts, key=lambda label: (-counts[label], label.swapcase()))


def describe_labels(labels: Labels, counts: Mapping[str, int]) -> list[str]:
    """Returns a line that lists the classes derived from a dataset, and a line for each label that may be misspelled.

    Args:
        labels: result of `Labels.from_counts`.
        counts: number of instances by label.
    """
    named = [f"{printable(name)} ({counts[name]})" for name in labels.classes if name in counts]
    more = [f"{len(named) - MAX_LISTED} more"] if len(named) > MAX_LISTED else []
    ignored = [f"{label} ({counts[label]})" for label in IGNORE if label in counts]
    lines = [f"labels      in the files: {', '.join([*named[:MAX_LISTED], *more, *ignored]) or 'none'}"]
    ordered = _sort_by_frequency(counts)
    for i, label in enumerate(ordered):
        near = _find_similar(label, [name for name in ordered[:i] if name in labels.classes])
        is_class = label in labels.classes
        if near is None or is_class and not _same_numbers(label, near):
            continue
        merged = shlex.quote(",".join([*(name for name in labels.classes if name != label), f"{label}={near}"]))
        state = "" if is_class else " and is ignored"
        lines.append(
            f"            {short(label)} ({counts[label]}) is similar to {short(near)}{state}. "
            f"Merge them with --labels {printable(merged)}"
        )
    return lines[: MAX_LISTED + 1]
