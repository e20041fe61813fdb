"""Errors that the user of this library can correct, as opposed to defects of the library."""


class UserError(ValueError):
    """An argument, a setting or a file cannot be used. The message says where, what was expected, and how to fix it.

    Any other ValueError or TypeError is a defect. A missing or unwritable file is an OSError, as everywhere in Python.
    """


class UserTypeError(UserError, TypeError):
    """An argument has the wrong type. Both a ValueError and a TypeError, for callers that catch either."""


def printable(text: object) -> str:
    """Escapes control characters and lone surrogates, for terminals, logs and UTF-8 files."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))
