"""Weights in model repositories of the Hugging Face Hub: `hf://owner/name[@revision][/file][#sha256=HEX]`.

`huggingface_hub` (extra `hub`) downloads into its own cache and reads the token of a private repository from `HF_TOKEN`
or from `hf auth login`. `HF_ENDPOINT` selects another server, and `HF_HUB_OFFLINE=1` restricts it to the cache. Only
files in formats that `load_weights` reads are downloaded. These formats do not contain code.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mrcnn.errors import UserError

PREFIX = "hf://"
REFERENCE_SYNTAX = "hf://owner/name[@revision][/file][#sha256=HEX]"
SUFFIXES = (".h5", ".hdf5", ".npz")
_NAME = r"[A-Za-z0-9](?:[\w.-]*\w)?"
_REPOSITORY = re.compile(rf"{_NAME}/{_NAME}", re.ASCII)
_REFERENCE = re.compile(
    rf"hf://(?P<repository>{_REPOSITORY.pattern})(?:@(?P<revision>{_NAME}))?(?:/(?P<file>[^#?\\\x00-\x1f]+))?"
    r"(?:#sha256=(?P<sha256>[0-9A-Fa-f]{64}))?",
    re.ASCII,
)


class HubError(UserError):
    """Raised if weights cannot be downloaded or uploaded. The message contains the reference, the reason and a fix."""


@dataclass(frozen=True)
class HubReference:
    """A weights file in a model repository.

    Attributes:
        repository: owner and name, such as "me/shoes".
        revision: branch, tag or commit, or None for the default branch.
        file: path in the repository, or None for its only weights file.
        sha256: expected digest in lower-case hexadecimal digits, or None.
    """

    repository: str
    revision: str | None = None
    file: str | None = None
    sha256: str | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{PREFIX}{self.repository}{revision}{f'/{self.file}' if self.file else ''}"


def is_hub_reference(name: str | os.PathLike) -> bool:
    """Returns whether `name` is a reference to weights on the Hub instead of a path."""
    return isinstance(name, str) and name.startswith(PREFIX)


def check_repository(name: str) -> str:
    """Validates and returns the name of a repository, `owner/name`.

    Raises:
        HubError: (a ValueError) if the name does not have this form.
    """
    if not _REPOSITORY.fullmatch(name):
        raise HubError(f"{name!r}: expected owner/name of a model repository, such as me/shoes.")
    return name


def parse_hub_reference(text: str) -> HubReference:
    """Parses `hf://owner/name[@revision][/file][#sha256=HEX]`.

    Raises:
        HubError: (a ValueError) if the text does not have this form or the file is not a weights file.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise HubError(
            f"{text!r}: expected {REFERENCE_SYNTAX} with 64 hexadecimal digits, such as hf://me/shoes@v1/shoes.h5."
        )
    file, sha256 = match["file"], match["sha256"]
    if file is not None:
        if any(part in ("", ".", "..") for part in file.split("/")):
            raise HubError(f"{text!r}: expected a path inside the repository, got {file!r}.")
        if not is_weights_file(file):
            raise HubError(f"{text!r}: expected a weights file ({', '.join(SUFFIXES)}), got {file!r}.")
    return HubReference(match["repository"], match["revision"], file, sha256.lower() if sha256 else None)


def is_weights_file(name: str) -> bool:
    """Returns whether a file name has the suffix of a format that `load_weights` reads."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def hub_weights(text: str) -> Path:
    """Returns the weights file of a reference. Downloads it to the cache of `huggingface_hub` if necessary.

    Without a connection, the cached file of the same revision is used.

    Args:
        text: reference; see `parse_hub_reference`.

    Raises:
        HubError: (a ValueError) if the reference is invalid, the file cannot be downloaded, or its SHA-256 differs.
    """
    reference = parse_hub_reference(text)
    with hub_errors(str(reference)):
        from huggingface_hub import hf_hub_download

        file = reference.file or _find_single_weights_file(reference)
        path = Path(hf_hub_download(reference.repository, file, revision=reference.revision))
    if reference.sha256 is not None and (found := sha256_of(path)) != reference.sha256:
        raise HubError(
            f"{reference}: expected sha256 {reference.sha256}, got {found}. The file has been replaced since the "
            "reference was written; use it only if you trust the change."
        )
    return path


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _find_single_weights_file(reference: HubReference) -> str:
    files = sorted(filter(is_weights_file, _list_files(reference)))
    if len(files) != 1:
        got = f"{len(files)}: {', '.join(files[:5])}" if files else "none"
        raise HubError(
            f"{reference}: expected one weights file ({', '.join(SUFFIXES)}), got {got}. Append /FILE to it."
        )
    return files[0]


def _list_files(reference: HubReference) -> list[str]:
    """Returns the files of a repository. Without a connection, returns the files of the cached snapshot."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    try:
        info = HfApi().model_info(reference.repository, revision=reference.revision)
        return [file.rfilename for file in info.siblings or ()]
    except HfHubHTTPError:  # the server responded with an error
        raise
    except (HTTPError, OSError):  # no connection, or HF_HUB_OFFLINE
        options = dict(revision=reference.revision, allow_patterns=[f"*{suffix}" for suffix in SUFFIXES])
        folder = Path(snapshot_download(reference.repository, local_files_only=True, **options))
        return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


@contextmanager
def hub_errors(where: str) -> Iterator[None]:
    """Converts errors of `huggingface_hub` in the `with` block to a HubError with a one-line message.

    Args:
        where: start of the message, such as the reference.
    """
    try:
        from huggingface_hub import errors
    except ImportError:
        raise HubError(f"{where}: requires huggingface_hub. Install it with: pip install 'nike-mrcnn[hub]'") from None
    login = "log in with `hf auth login` or set HF_TOKEN"
    try:
        yield
    except errors.GatedRepoError:
        raise HubError(f"{where}: access to the repository must be requested on its page; then {login}.") from None
    except errors.RepositoryNotFoundError:
        raise HubError(f"{where}: no such repository, or it is private. Check the name, or {login}.") from None
    except errors.RevisionNotFoundError:
        raise HubError(f"{where}: the repository has no such branch, tag or commit.") from None
    except errors.LocalEntryNotFoundError:
        raise HubError(f"{where}: not in the cache, and the server cannot be reached. Check the connection.") from None
    except errors.EntryNotFoundError:
        raise HubError(f"{where}: the repository has no such file.") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        refused = status in (401, 403)
        remedy = f"Check the access rights of the token, or {login}." if refused else "Try again later."
        raise HubError(f"{where}: the server returned HTTP status {status}. {remedy}") from None
    except (errors.HTTPError, ConnectionError, RuntimeError) as error:  # uploads raise RuntimeError
        reason = " ".join(str(error.__cause__ or error).split())[:200] or type(error).__name__
        raise HubError(f"{where}: the server cannot be reached ({reason}). Check the connection.") from None
    except errors.HFValidationError as error:
        raise HubError(f"{where}: {' '.join(str(error).split())[:200]}") from None
