"""Exceptions for errors that the user of the library can correct, as opposed to bugs in the library."""


class UserError(ValueError):
    """Raised if an argument, a setting or a file cannot be used. The message states where the error is and how to fix
    it.

    Any other ValueError or TypeError is a bug in the library. A missing or unwritable file raises an OSError.
    """


class UserTypeError(UserError, TypeError):
    """Raised if an argument has the wrong type. It is a ValueError and a TypeError, so callers can catch either."""


def printable(text: object) -> str:
    """Escapes control characters and lone surrogates, for terminals, logs and UTF-8 files."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))
