"""Conversion of setting values to and from JSON."""

from typing import Any

import numpy as np

from mrcnn.errors import UserError, UserTypeError


def to_json_value(value: Any) -> Any:
    """Converts an array or a NumPy number for `json.dumps`."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise UserTypeError(f"{type(value).__name__} cannot be written as JSON")


def from_json_value(default: Any, value: Any, where: str) -> Any:
    """Converts a value from JSON to the type of the setting's default, such as a list to an array or a tuple.

    A function is wrapped so that it does not become a method of the class.
    """
    if callable(value):
        return staticmethod(value)
    if isinstance(default, np.ndarray):
        try:
            return np.array(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise UserError(f"{where} must be a list of numbers, got {value!r}.") from None
    if isinstance(default, (tuple, list)):
        if not isinstance(value, (tuple, list)):
            raise UserError(f"{where} must be a list, got {value!r}.")
        return type(default)(value)
    if isinstance(default, dict) and not isinstance(value, dict):
        raise UserError(f"{where} must be an object of values by name, got {value!r}.")
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(default, (int, float)) and not isinstance(default, bool) and not is_number:
        raise UserError(f"{where} must be a number, got {value!r}.")
    if isinstance(default, str) and not isinstance(value, str):
        raise UserError(f"{where} must be a string, got {value!r}.")
    return value
