"""Labels and classes: which label means which class, which are ignored, which look like a typing mistake."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from nike.text import printable, short

IGNORE = ("ignore", "__ignore__")  # there, but not to be learnt or counted: neither positive nor negative
RARE = 10  # a label that resembles one so many times as frequent is a typing error


class Labels:
    """Maps labels to class names. White space around a label does not matter.

    Args:
        labels: class names; or label -> class name where several labels mean one class; or the text of a command
            line, `"nike,swoosh=nike"`. The order of classes is that of first mention.

    Attributes:
        class_of_label: label -> class name.
        classes: class names in the order of their numbers.

    Raises:
        ValueError: no label, an empty one, or one of IGNORE.
    """

    def __init__(self, labels: str | Iterable[str] | Mapping[str, str] = ("nike",)):
        if isinstance(labels, str):
            labels = [part for part in labels.split(",") if part.strip()]
        if not isinstance(labels, Mapping):
            pairs = [str(label).partition("=") for label in labels]
            labels = {label: target or label for label, _, target in pairs}
        self.class_of_label = {str(label).strip(): str(target).strip() for label, target in labels.items()}
        wrong = [name for pair in self.class_of_label.items() for name in pair if not name or name in (*IGNORE, "BG")]
        if wrong or not self.class_of_label:
            raise ValueError(
                f"labels: expected class names such as 'nike' or 'nike,swoosh=nike', got {', '.join(map(repr, wrong))}"
                f"{'' if wrong else 'none'} ({', '.join(IGNORE)} and BG have a fixed meaning)."
            )
        self.classes: list[str] = list(dict.fromkeys(self.class_of_label.values()))

    @classmethod
    def found_in(cls, counts: Mapping[str, int]) -> Labels:
        """The labels of a dataset as its classes, in alphabetical order, "nike" if it has none.

        Left out are IGNORE, what differs from a more frequent label by capital letters only, and what resembles a label
        that is RARE times as frequent: most likely typing errors.

        Args:
            counts: instances by label.
        """
        classes: list[str] = []
        for label in _by_frequency(counts):
            near = _nearest(label, classes)
            same = near is not None and near.casefold() == label.casefold()
            rare = near is not None and _similar(label, near) and counts[label] * RARE <= counts[near]
            if label and label != "BG" and not same and not rare and not _nearest(label, IGNORE, cutoff=0.8):
                classes.append(label)
        return cls({label: label for label in sorted(classes)} or ("nike",))

    def for_classes(self, classes: Sequence[str]) -> Labels:
        """The same meaning of labels, with the classes and their order of a network.

        Raises:
            ValueError: a label means another class.
        """
        unknown = [name for name in self.classes if name not in classes]
        if unknown:
            raise ValueError(
                f"the weights know {printable(', '.join(classes))}; the labels mean {printable(', '.join(unknown))}. "
                "Map each label to a class of the weights: --labels LABEL=CLASS."
            )
        labels = Labels(self.class_of_label)
        labels.classes = list(classes)
        return labels

    @property
    def names(self) -> list[str]:
        """Every label that means a class."""
        return list(self.class_of_label)

    def class_of(self, label: str) -> str | None:
        """The class of a label; None if it has none (ignored or unknown)."""
        return self.class_of_label.get(label.strip())

    def is_ignored(self, label: str) -> bool:
        """Whether objects with this label are neither positive nor negative."""
        return label.strip() in IGNORE

    def nearest(self, label: str) -> str | None:
        """The known label that an unknown one was probably meant to be; None if it is like none of them."""
        return _nearest(label, [*self.names, *IGNORE])


def _nearest(label: str, known: Sequence[str], cutoff: float = 0.7) -> str | None:
    by_folded = {name.casefold(): name for name in reversed(known)}
    near = difflib.get_close_matches(label.strip().casefold()[:100], by_folded, n=1, cutoff=cutoff)
    return by_folded[near[0]] if near else None


def _similar(label: str, near: str) -> bool:
    """Whether two labels that are nearly equal may mean one thing; `air-max-90` and `air-max-97` do not."""
    return re.findall(r"\d+", label) == re.findall(r"\d+", near)


def _by_frequency(counts: Mapping[str, int]) -> list[str]:
    return sorted(counts, key=lambda label: (-counts[label], label.swapcase()))  # of equal ones, small letters first


def found_lines(labels: Labels, counts: Mapping[str, int], most: int = 10) -> list[str]:
    """One line with the labels that `Labels.found_in` made classes of, and one for each that may be misspelt.

    Args:
        labels: the result of `Labels.found_in`.
        counts: instances by label.
        most: labels that are named.
    """
    named = [f"{printable(name)} ({counts[name]})" for name in labels.classes if name in counts]
    more = [f"{len(named) - most} more"] if len(named) > most else []
    ignored = [f"{label} ({counts[label]})" for label in IGNORE if label in counts]
    lines = [f"labels      as found in the files: {', '.join([*named[:most], *more, *ignored]) or 'none'}"]
    ordered = _by_frequency(counts)
    for i, label in enumerate(ordered):
        near = _nearest(label, [name for name in ordered[:i] if name in labels.classes])
        is_class = label in labels.classes
        if near is None or is_class and not _similar(label, near):
            continue
        merged = shlex.quote(",".join([*(name for name in labels.classes if name != label), f"{label}={near}"]))
        state = "" if is_class else " and is ignored"
        lines.append(
            f"            {short(label)} ({counts[label]}) looks like {short(near)}{state}. "
            f"To merge: --labels {printable(merged)}"
        )
    return lines[: most + 1]
