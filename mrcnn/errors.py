"""Exceptions for mistakes that the user of the library can correct, as opposed to defects of the library."""


class UserError(ValueError):
    """Raised if an argument, a setting or a file cannot be used. The message contains the location and the remedy.

    Any other ValueError or TypeError is a defect of the library. A missing or unwritable file raises an OSError.
    """


class UserTypeError(UserError, TypeError):
    """Raised if an argument has the wrong type. It is a ValueError and a TypeError, so callers can catch either."""


def printable(text: object) -> str:
    """Escapes control characters and lone surrogates, for terminals, logs and UTF-8 files."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))
