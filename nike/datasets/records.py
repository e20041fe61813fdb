"""Data classes that the annotation readers return: photos, instances and problems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mrcnn.errors import UserError
from nike.datasets.shapes import ShapeError
from nike.formatting import printable

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)

MAX_MASK_BYTES = 4 << 30  # maximum size of the masks of one photo, reached by 350 instances at 12 megapixels


@dataclass(frozen=True)
class Problem:
    """A problem in a dataset.

    Attributes:
        file: path of the file relative to the dataset folder.
        code: type of the problem, such as "points-count".
        message: what was expected, what was found, and how to fix it.
        where: location in the file, such as "shapes[3]"; empty for the whole file.
        severity: "error", "warning" or "note".
        photo: path of the photo, or None if it cannot be shown.
        extent: (y1, x1, y2, x2), affected region of the photo in pixels, or None if unknown.
        other_photo: path of a second photo for comparison, such as a duplicate, or None.
    """

    file: str
    code: str
    message: str
    where: str = ""
    severity: str = ERROR
    photo: Path | None = None
    extent: tuple[float, float, float, float] | None = None
    other_photo: Path | None = None

    def __str__(self) -> str:
        return printable(", ".join(part for part in (self.file, self.where) if part) + ": " + self.message)


class AnnotationError(UserError):
    """An annotation file or photo is unusable. The details are in `problem`."""

    def __init__(self, problem: Problem):
        super().__init__(str(problem))
        self.problem = problem


class Piece(Protocol):
    """A part of an instance: a labelme shape, COCO polygons or a run-length encoded mask."""

    @property
    def extent(self) -> tuple[float, float, float, float]: ...

    def draw(self, height: int, width: int) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Instance:
    """An object in a photo. An object that is partly occluded may have several pieces (labelme's `group_id`).

    Attributes:
        label: label in the annotation file, mapped to a class by `nike.datasets.labels`.
        pieces: tuple of `Piece`.
        where: location of the first piece in the file.
        crowd: COCO's `iscrowd`. The instance is ignored regardless of its label.
        keypoints: (x, y, visibility) by name, in pixels with 0 at the outer edge of the first pixel. The visibility is
            1 for occluded and 2 for visible keypoints, as in COCO.
    """

    label: str
    pieces: tuple[Piece, ...]
    where: str = ""
    crowd: bool = False
    keypoints: dict[str, tuple[float, float, int]] = field(default_factory=dict)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """(y1, x1, y2, x2), bounding box of all pieces in pixels, not clipped to the photo."""
        corners = np.array([piece.extent for piece in self.pieces])
        return (*corners[:, :2].min(axis=0).tolist(), *corners[:, 2:].max(axis=0).tolist())

    def draw(self, height: int, width: int) -> np.ndarray:
        """Returns the mask of the instance, bool `[H, W]`."""
        mask = self.pieces[0].draw(height, width)
        for piece in self.pieces[1:]:
            mask |= piece.draw(height, width)
        return mask


def group_pieces(pieces: Iterable[tuple[str, object, Piece, str]]) -> list[Instance]:
    """Groups pieces of the same label and group into instances, in the order of their first pieces.

    Args:
        pieces: iterable of (label, group or None, piece, where). A piece without a group is a separate instance.
    """
    grouped: dict[tuple, list[Piece]] = {}
    locations: dict[tuple, str] = {}
    for label, group, piece, where in pieces:
        key = (label, where if group is None else group)
        grouped.setdefault(key, []).append(piece)
        locations.setdefault(key, where)
    return [Instance(key[0], tuple(grouped[key]), locations[key]) for key in grouped]


@dataclass(eq=False)
class Photo:
    """A photo and its instances.

    Attributes:
        file: path of the photo relative to the dataset folder.
        path: path of the photo, or None if it is embedded in `annotation` (labelme's `imageData`).
        annotation: path of the annotation file, or None if there is none.
        annotation_name: path of the annotation file (or of the photo, without an annotation file) relative to the
            dataset folder, for messages.
        height: height in pixels after EXIF rotation.
        width: width in pixels after EXIF rotation.
        instances: list of `Instance`.
        problems: list of `Problem`.
        num_unusable: number of unusable shapes. A photo with unusable shapes must not be used for training, because
            the objects of these shapes would count as background.
        boxes: list of `Instance` for box annotations without masks. They count as unusable shapes until `accept_boxes`
            is called, because masks cannot be created from boxes.
    """

    file: str
    path: Path | None
    annotation: Path | None
    annotation_name: str
    height: int
    width: int
    instances: list[Instance] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    num_unusable: int = 0
    boxes: list[Instance] = field(default_factory=list)

    @property
    def is_negative(self) -> bool:
        """Whether the photo is annotated as having no object."""
        return not self.instances and not self.num_unusable

    def add_unusable_shape(self, error: ShapeError, file: str, where: str) -> None:
        """Counts an unusable shape and records the reason in `problems`."""
        severity = WARNING if error.code == "shape-without-area" else ERROR
        self.problems.append(Problem(file, error.code, str(error), where, severity, self.path))
        self.num_unusable += 1

    def accept_boxes(self) -> None:
        """Moves `boxes` to `instances`, for networks that detect only boxes."""
        locations = {instance.where for instance in self.boxes}
        self.problems = [problem for problem in self.problems if problem.where not in locations]
        self.num_unusable -= len(self.boxes)
        self.instances += self.boxes
        self.boxes = []

    def has_size(self, width: Any, height: Any) -> bool:
        """Returns whether a size in an annotation file (numbers, strings or None) equals the size of the photo.

        A missing size, (None, None), is accepted.
        """
        sizes = (None, None), (self.width, self.height), (str(self.width), str(self.height))
        return (width, height) in sizes

    def iter_masks(self, problems: list[Problem]) -> Iterator[tuple[Instance, np.ndarray]]:
        """Yields the instances with their masks, bool `[H, W]`. Instances without pixels are reported in `problems`."""
        for instance in self.instances:
            mask = instance.draw(self.height, self.width)
            if mask.any():
                yield instance, mask
            else:
                message = "has no pixels inside the photo; skipped."
                problems.append(Problem(self.file, "left-out", message, instance.where, WARNING))

    def draw(self, instances: list[Instance] | None = None) -> np.ndarray:
        """Returns the masks of all (or the given) instances, bool `[H, W, N]`. Masks may overlap.

        Raises:
            ValueError: if the masks exceed MAX_MASK_BYTES.
        """
        instances = self.instances if instances is None else instances
        if self.height * self.width * len(instances) > MAX_MASK_BYTES:
            raise UserError(
                f"{printable(self.file)}: {len(instances)} masks of {self.width}x{self.height} pixels require more "
                f"than {MAX_MASK_BYTES >> 30} GiB. Resize or split the photo."
            )
        masks = np.zeros((self.height, self.width, len(instances)), dtype=bool)
        for i, instance in enumerate(instances):
            masks[:, :, i] = instance.draw(self.height, self.width)
        return masks


@dataclass(eq=False)
class Collection:
    """The result of reading a dataset.

    Attributes:
        root: path of the dataset folder.
        photos: list of valid `Photo`.
        problems: list of `Problem` for unusable files. Problems of photos are in `Photo.problems`.
        unlabelled: list of paths of photos without annotations.
        subsets: "train", "val" or "test" of photos and annotation files, by path relative to `root`. It is empty if
            the annotations do not define subsets.
    """

    root: Path
    photos: list[Photo] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unlabelled: list[Path] = field(default_factory=list)
    subsets: dict[str, str] = field(default_factory=dict)

    def accept_boxes(self) -> None:
        """Accepts the boxes of all photos; see `Photo.accept_boxes`."""
        for photo in self.photos:
            photo.accept_boxes()

    def all_problems(self) -> Iterator[Problem]:
        """Yields the problems of unusable files, then the problems of the photos."""
        yield from self.problems
        for photo in self.photos:
            yield from photo.problems
