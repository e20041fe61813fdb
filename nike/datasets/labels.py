"""Labels and classes: which label means which class, which are ignored, which look like a typing mistake."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

IGNORE = ("ignore", "__ignore__")  # there, but not to be learnt or counted: neither positive nor negative


class Labels:
    """Maps labels to class names.

    Args:
        labels: class names; or label -> class name where several labels mean one class; or the text of a command
            line, `"nike,swoosh=nike"`. The order of classes is that of first mention.

    Raises:
        ValueError: no label, an empty one, or one of IGNORE.
    """

    def __init__(self, labels: str | Iterable[str] | Mapping[str, str] = ("nike",)):
        if isinstance(labels, str):
            labels = [part for part in labels.split(",") if part.strip()]
        if not isinstance(labels, Mapping):
            pairs = [str(label).partition("=") for label in labels]
            labels = {label: target or label for label, _, target in pairs}
        self._class_of = {str(label).strip(): str(target).strip() for label, target in labels.items()}
        wrong = [name for pair in self._class_of.items() for name in pair if not name or name in (*IGNORE, "BG")]
        if wrong or not self._class_of:
            raise ValueError(
                f"labels: expected class names such as 'nike' or 'nike,swoosh=nike', got {', '.join(map(repr, wrong))}"
                f"{'' if wrong else 'none'} ({', '.join(IGNORE)} and BG have a fixed meaning)."
            )
        self.classes: list[str] = list(dict.fromkeys(self._class_of.values()))

    @property
    def names(self) -> list[str]:
        """Every label that means a class."""
        return list(self._class_of)

    def class_of(self, label: str) -> str | None:
        """The class of a label; None if it has none (ignored or unknown)."""
        return self._class_of.get(label)

    def is_ignored(self, label: str) -> bool:
        """Whether objects with this label are neither positive nor negative."""
        return label in IGNORE

    def nearest(self, label: str) -> str | None:
        """The known label that an unknown one was probably meant to be; None if it is like none of them."""
        by_folded = {known.casefold(): known for known in reversed([*self.names, *IGNORE])}
        near = difflib.get_close_matches(label.strip().casefold()[:100], by_folded, n=1, cutoff=0.7)
        return by_folded[near[0]] if near else None
