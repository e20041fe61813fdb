"""Photos that occur twice in a dataset: equal files, and photos that look equal, across training and validation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import PIL.Image

from nike.datasets.records import ERROR, WARNING, Photo, Problem
from nike.text import short

THUMBNAIL = 32
# Correlation of grey thumbnails. Scaled and recompressed copies of 256 photos reached 0.993 or more, different shoes in
# the same pose on the same ground 0.978 or less. (Hashes of 64 and 256 bits could not tell these two apart.)
SAME_PHOTO_CORRELATION = 0.985


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What tells whether two photos are the same.

    Attributes:
        photo: the photo.
        digest: SHA-256 of the file.
        look: grey thumbnail with mean 0 and length 1, float32 `[THUMBNAIL**2]`: brightness and contrast are lost.
    """

    photo: Photo
    digest: str
    look: np.ndarray


def fingerprint(photo: Photo, data: bytes, image: np.ndarray) -> Fingerprint:
    """The fingerprint of a photo, given its file's bytes and its pixels uint8 `[H, W, 3]`."""
    small = PIL.Image.fromarray(image).convert("L").resize((THUMBNAIL, THUMBNAIL), PIL.Image.Resampling.BOX)
    grey = np.asarray(small, dtype=np.float32).ravel()
    grey = grey - grey.mean()
    look = grey / max(float(np.linalg.norm(grey)), 4.0 * THUMBNAIL)  # a plain photo looks like no other
    return Fingerprint(photo, hashlib.sha256(data).hexdigest(), look)


def find_duplicates(parts: dict[str, list[Fingerprint]]) -> list[Problem]:
    """Equal files anywhere (an error across parts), and photos of the second part that look like one of the first.

    Args:
        parts: fingerprints by name of part, training first.
    """
    problems = []
    first: dict[str, tuple[str, Photo]] = {}
    for part, prints in parts.items():
        for this in prints:
            other_part, other = first.setdefault(this.digest, (part, this.photo))
            if other is this.photo:
                continue
            message, code, severity = f"is the same file as {short(other.file)}", "duplicate", WARNING
            if other_part != part:
                message += f", which is in {other_part}: {part} would be judged on photos that were trained with"
                code, severity = "duplicate-across", ERROR
            message += ". Remove one of them."
            problems.append(_problem(this.photo, other, code, message, severity))
    if len(parts) == 2:
        problems += _look_alikes(*parts.items())
    return problems


def _look_alikes(train: tuple[str, list[Fingerprint]], val: tuple[str, list[Fingerprint]]) -> list[Problem]:
    """Scaled, recompressed or brightened copies; not crops, which look as different as another product."""
    (name, known), (_, asked) = train, val
    if not known or not asked:
        return []
    correlation = np.stack([p.look for p in asked]) @ np.stack([p.look for p in known]).T  # [val, train]
    problems = []
    for this, row in zip(asked, correlation, strict=True):
        other = known[int(row.argmax())]
        if row.max() < SAME_PHOTO_CORRELATION or other.digest == this.digest:  # equal files are reported already
            continue
        message = f"looks like {short(other.photo.file)} of {name}. If they show the same, keep one."
        problems.append(_problem(this.photo, other.photo, "near-duplicate-across", message, WARNING))
    return problems


def _problem(photo: Photo, other: Photo, code: str, message: str, severity: str) -> Problem:
    return Problem(photo.file, code, message, "", severity, photo.path, beside=other.path)
