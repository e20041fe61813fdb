"""Finds duplicate photos: identical files, and near-duplicates across training and validation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import PIL.Image

from nike.datasets.records import ERROR, WARNING, Photo, Problem
from nike.formatting import short

THUMBNAIL = 32  # pixels
CHUNK = 256  # number of validation photos compared at once, to limit the memory for the correlations
# Minimum correlation of the gray thumbnails of two copies. In a test with 256 photos, the correlation was at least
# 0.993 for scaled and recompressed copies, and at most 0.978 for different shoes in the same pose and scene. Perceptual
# hashes of 64 and 256 bits did not separate these two cases.
SAME_PHOTO_CORRELATION = 0.985


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """Features of a photo for finding duplicates.

    Attributes:
        photo: `Photo`.
        digest: SHA-256 of the file, hexadecimal.
        thumbnail: gray values, float32 `[THUMBNAIL**2]`, normalized for brightness and contrast to mean 0 and norm 1.
            The norm of nearly uniform images is below 1.
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
    gray = np.asarray(small, dtype=np.float32).ravel()
    gray = gray - gray.mean()
    thumbnail = gray / max(float(np.linalg.norm(gray)), 4.0 * THUMBNAIL)  # keeps the norm of uniform images below 1
    return Fingerprint(photo, hashlib.sha256(data).hexdigest(), thumbnail)


def find_duplicates(subsets: dict[str, list[Fingerprint]]) -> list[Problem]:
    """Finds identical files in all subsets, and validation photos that are similar to a training photo.

    Args:
        subsets: fingerprints by name of the subset, training first.

    Returns:
        A warning for each duplicate within a subset and for each near-duplicate, and an error for each duplicate across
        subsets. Near-duplicates are found only if there are exactly two subsets.
    """
    problems = []
    first: dict[str, tuple[str, Photo]] = {}
    for subset, prints in subsets.items():
        for current in prints:
            other_subset, other = first.setdefault(current.digest, (subset, current.photo))
            if other is current.photo:
                continue
            message, code, severity = f"is the same file as {short(other.file)}", "duplicate", WARNING
            if other_subset != subset:
                message += f" in {other_subset}, so {subset} contains a {other_subset} image"
                code, severity = "duplicate-across", ERROR
            message += ". Remove one of them."
            problems.append(_problem(current.photo, other, code, message, severity))
    if len(subsets) == 2:
        problems += _near_duplicates(next(iter(subsets)), *subsets.values())
    return problems


def _near_duplicates(name: str, train: list[Fingerprint], val: list[Fingerprint]) -> list[Problem]:
    """Finds scaled, recompressed or brightened copies of photos in subset `name`. Crops are not found."""
    if not train or not val:
        return []
    known = np.stack([each.thumbnail for each in train]).T  # [THUMBNAIL**2, train]
    best: list[tuple[int, float]] = []  # index and correlation of the most similar training photo
    for start in range(0, len(val), CHUNK):
        correlation = np.stack([each.thumbnail for each in val[start : start + CHUNK]]) @ known  # [CHUNK, train]
        best += zip(correlation.argmax(axis=1).tolist(), correlation.max(axis=1).tolist(), strict=True)
    problems = []
    for current, (index, similarity) in zip(val, best, strict=True):
        other = train[index]
        if (
            similarity < SAME_PHOTO_CORRELATION or other.digest == current.digest
        ):  # identical files are already reported
            continue
        message = f"is similar to {short(other.photo.file)} in {name}. Remove one of them if it is a copy."
        problems.append(_problem(current.photo, other.photo, "near-duplicate-across", message, WARNING))
    return problems


def _problem(photo: Photo, other: Photo, code: str, message: str, severity: str) -> Problem:
    return Problem(photo.file, code, message, "", severity, photo.path, other_photo=other.path)
