"""Finds duplicate photos: identical files, and near-duplicates across training and validation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import PIL.Image

from nike.datasets.records import ERROR, WARNING, Photo, Problem
from nike.formatting import short

THUMBNAIL = 32  # pixels
# Correlation of grey thumbnails. In a test with 256 photos it was at least 0.993 for scaled and recompressed copies and
# at most 0.978 for different shoes in the same pose and scene. Perceptual hashes of 64 and 256 bits did not separate
# the two.
SAME_PHOTO_CORRELATION = 0.985


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """Features of a photo for the search for duplicates.

    Attributes:
        photo: `Photo`.
        digest: SHA-256 of the file, hexadecimal.
        thumbnail: grey values, float32 `[THUMBNAIL**2]`, normalised to mean 0 and norm 1, so that they do not depend on
            brightness and contrast.
    """

    photo: Photo
    digest: str
    thumbnail: np.ndarray


def fingerprint(photo: Photo, data: bytes, image: np.ndarray) -> Fingerprint:
    """Computes the fingerprint of a photo.

    Args:
        photo: `Photo`.
        data: content of the image file.
        image: decoded image, uint8 RGB `[H, W, 3]`.
    """
    small = PIL.Image.fromarray(image).convert("L").resize((THUMBNAIL, THUMBNAIL), PIL.Image.Resampling.BOX)
    grey = np.asarray(small, dtype=np.float32).ravel()
    grey = grey - grey.mean()
    thumbnail = grey / max(float(np.linalg.norm(grey)), 4.0 * THUMBNAIL)  # keeps the norm of uniform images below 1
    return Fingerprint(photo, hashlib.sha256(data).hexdigest(), thumbnail)


def find_duplicates(parts: dict[str, list[Fingerprint]]) -> list[Problem]:
    """Finds identical files, and photos of the second subset that are similar to one of the first.

    Args:
        parts: fingerprints by name of the subset, training first.

    Returns:
        A warning for each duplicate in one subset and for each near-duplicate, and an error for each duplicate across
        subsets.
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
                message += f" in {other_part}, so {part} contains a {other_part} image"
                code, severity = "duplicate-across", ERROR
            message += ". Remove one of them."
            problems.append(_problem(this.photo, other, code, message, severity))
    if len(parts) == 2:
        problems += _near_duplicates(*parts.items())
    return problems


def _near_duplicates(train: tuple[str, list[Fingerprint]], val: tuple[str, list[Fingerprint]]) -> list[Problem]:
    """Finds scaled, recompressed or brightened copies. Crops are not found."""
    (name, known), (_, asked) = train, val
    if not known or not asked:
        return []
    correlation = np.stack([p.thumbnail for p in asked]) @ np.stack([p.thumbnail for p in known]).T  # [val, train]
    problems = []
    for this, row in zip(asked, correlation, strict=True):
        other = known[int(row.argmax())]
        if (
            row.max() < SAME_PHOTO_CORRELATION or other.digest == this.digest
        ):  # identical files have been reported already
            continue
        message = f"is similar to {short(other.photo.file)} in {name}. Remove one of them if it is a copy."
        problems.append(_problem(this.photo, other.photo, "near-duplicate-across", message, WARNING))
    return problems


def _problem(photo: Photo, other: Photo, code: str, message: str, severity: str) -> Problem:
    return Problem(photo.file, code, message, "", severity, photo.path, beside=other.path)
