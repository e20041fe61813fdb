"""Mapping interface of `Detections`, compatible with Matterport's result dict."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np

KEYS = ("rois", "class_ids", "scores", "masks")  # keys of Matterport's result dict


class ResultDict:
    """Mixin for `Detections`, which sets and documents the attributes below.

    Keys can be assigned and deleted, as Matterport scripts do to filter or convert a result. This changes only the
    items of the mapping. The attributes, `len` and the other methods still describe all detections.
    """

    boxes: np.ndarray
    error: str | None
    _items: dict[str, Any] | None = None  # the mapping; None until a key is assigned or deleted

    def keys(self) -> tuple[str, ...]:
        """Returns the keys of Matterport's result dict, plus "error" if the image could not be processed."""
        if self._items is not None:
            return tuple(self._items)
        return KEYS if self.error is None else (*KEYS, "error")

    def values(self) -> list:
        """Returns the values in the order of `keys()`."""
        return [self._item(key) for key in self.keys()]

    def items(self) -> list[tuple[str, Any]]:
        """Returns pairs of keys and values."""
        return [(key, self._item(key)) for key in self.keys()]

    def get(self, key: str, default: Any = None) -> Any:
        """Returns the value of a key, or `default` if the key does not exist."""
        return self._item(key) if key in self.keys() else default

    def pop(self, key: str, *default: Any) -> Any:
        """Removes a key and returns its value, or `default` if the key does not exist."""
        return self._editable_items().pop(key, *default)

    def update(self, *items: Any, **more: Any) -> None:
        """Assigns several keys, with the arguments of `dict.update`."""
        self._editable_items().update(*items, **more)

    def copy(self) -> Self:
        """Returns a shallow copy. Assigning or deleting keys of the copy does not change the original."""
        return copy.copy(self)

    def __copy__(self) -> Self:
        other = object.__new__(type(self))
        vars(other).update(vars(self), _items=None if self._items is None else dict(self._items))
        return other

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Returns an array that contains this object, so that NumPy does not convert it to an array of detections."""
        array = np.empty((), dtype=object)
        array[()] = self
        return array

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key in self.keys()

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"Detections: keys must be strings such as 'rois', got {key!r}.")
        self._editable_items()[key] = value

    def __delitem__(self, key: str) -> None:
        del self._editable_items()[key]

    def _item(self, key: str) -> Any:
        if self._items is not None:
            return self._items[key]
        return self.boxes if key == "rois" else getattr(self, key)

    def _editable_items(self) -> dict[str, Any]:
        if self._items is None:
            self._items = dict(self.items())
        return self._items
