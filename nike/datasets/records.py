"""What every annotation reader returns: photos with instances, and the problems found on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from nike.text import printable

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)

MAX_MASK_BYTES = 4 << 30  # of one photo's masks `[H, W, N]`: 350 instances on 12 megapixels


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a dataset.

    Attributes:
        file: the file as the user knows it: its path inside the dataset.
        code: the kind of problem in a word or two with hyphens; equal problems have equal codes.
        message: what was expected, what was found, how to fix it.
        where: the place in the file, such as "shapes[3]"; empty for the whole file.
        severity: "error" (something is lost or wrong), "warning" (look at it) or "note".
        photo: the photo concerned, if it can be shown.
        extent: (y1, x1, y2, x2) in pixels of the photo around the place, if known.
        beside: a second photo to compare with (a duplicate).
    """

    file: str
    code: str
    message: str
    where: str = ""
    severity: str = ERROR
    photo: Path | None = None
    extent: tuple[float, float, float, float] | None = None
    beside: Path | None = None

    def __str__(self) -> str:
        return printable(", ".join(part for part in (self.file, self.where) if part) + ": " + self.message)


class AnnotationError(ValueError):
    """A whole annotation file or photo that cannot be used; `problem` says why."""

    def __init__(self, problem: Problem):
        super().__init__(str(problem))
        self.problem = problem


class Piece(Protocol):
    """A part of an instance: a drawn shape or a run-length mask."""

    @property
    def extent(self) -> tuple[float, float, float, float]: ...

    def draw(self, height: int, width: int) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Instance:
    """One object in a photo: one piece, or several that share labelme's `group_id` (cut apart by a strap, say).

    Attributes:
        label: as written in the file; `nike.datasets.labels` maps it to a class.
        where: the place of the first piece in the file.
        crowd: COCO's `iscrowd`: to be ignored whatever the label.
    """

    label: str
    pieces: tuple[Piece, ...]
    where: str = ""
    crowd: bool = False

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """(y1, x1, y2, x2) around all pieces, pixels, not clipped."""
        corners = np.array([piece.extent for piece in self.pieces])
        return (*corners[:, :2].min(axis=0).tolist(), *corners[:, 2:].max(axis=0).tolist())

    def draw(self, height: int, width: int) -> np.ndarray:
        """The instance's mask, `bool [H, W]`."""
        mask = self.pieces[0].draw(height, width)
        for piece in self.pieces[1:]:
            mask |= piece.draw(height, width)
        return mask


@dataclass(eq=False)
class Photo:
    """A photo and what is drawn on it.

    Attributes:
        file: the photo as the user knows it: its path inside the dataset.
        path: where to read it; None when its pixels are inside `annotation` (labelme's `imageData`).
        annotation: the file that describes it; None for a photo without one.
        noted_in: that file as the user knows it; the photo's own name if there is none.
        height, width: of the upright photo (EXIF orientation applied), pixels.
        lost: shapes that could not be used. Such a photo must not be trained on: its lost objects would count as
            background.
    """

    file: str
    path: Path | None
    annotation: Path | None
    noted_in: str
    height: int
    width: int
    instances: list[Instance] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    lost: int = 0

    @property
    def is_negative(self) -> bool:
        """Whether the photo is known to show no object."""
        return not self.instances and not self.lost

    def draw(self, instances: list[Instance] | None = None) -> np.ndarray:
        """Masks of all (or the given) instances, `bool [H, W, N]`; they may overlap.

        Raises:
            ValueError: they would take more than MAX_MASK_BYTES.
        """
        instances = self.instances if instances is None else instances
        if self.height * self.width * len(instances) > MAX_MASK_BYTES:
            raise ValueError(
                f"{printable(self.file)}: {len(instances)} masks of {self.width}x{self.height} would take more than "
                f"{MAX_MASK_BYTES >> 30} GiB. Scale the photo down or split it."
            )
        masks = np.zeros((self.height, self.width, len(instances)), dtype=bool)
        for i, instance in enumerate(instances):
            masks[:, :, i] = instance.draw(self.height, self.width)
        return masks


@dataclass(eq=False)
class Collection:
    """Everything that a reader found under `root`.

    Attributes:
        photos: those that can be used.
        problems: of files that cannot be used; each photo keeps its own.
        unlabelled: photos that no annotation mentions.
    """

    root: Path
    photos: list[Photo] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unlabelled: list[Path] = field(default_factory=list)

    def all_problems(self) -> Iterator[Problem]:
        """Problems of files, then of photos in their order."""
        yield from self.problems
        for photo in self.photos:
            yield from photo.problems
