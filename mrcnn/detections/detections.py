"""The `Detections` class: the objects detected in one image."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from mrcnn.atomic import replacing
from mrcnn.detections import formats, labelme
from mrcnn.detections.detection import Detection
from mrcnn.detections.result_dict import ResultDict

if TYPE_CHECKING:
    import pandas
    import supervision
    from matplotlib.figure import Figure


class Detections(ResultDict):
    """The objects detected in one image, highest score first.

    The keys of Matterport's result dict are supported: `detections["rois"]`, `["class_ids"]`, `["scores"]`,
    `["masks"]`, and `["error"]` if the image could not be processed. Masks are stored as crops. They are pasted into an
    array of the size of the image when `masks` is first accessed.

    Assigning or deleting a key changes only the mapping (see `ResultDict`). `detections[keep]` returns a subset.

    Args:
        boxes: int `[N, 4]` (y1, x1, y2, x2) pixels of the image, half-open, inside the image.
        class_ids: int `[N]`, 1 or above.
        scores: float `[N]`, 0..1.
        mask_crops: N bool arrays `[y2 - y1, x2 - x1]`, each mask inside its box; None for detections without masks.
        image_shape: (H, W) of the image; further items are ignored.
        error: reason why the image could not be processed, or None.
        keypoints: float `[N, J, 3]` (x, y, score) in pixels, where 0 is the outer edge of the first pixel; or None.

    Attributes:
        boxes: int32 `[N, 4]`.
        class_ids: int32 `[N]`.
        scores: float32 `[N]`.
        mask_crops: list of N bool arrays. Without masks, they are views that are True everywhere.
        has_masks: False if the network has no mask head (MASK_HEAD = False). `masks` is then None, and methods that
            require the mask of an object (`full_mask`, `rings`, `polygons`) use its box.
        image_shape: (H, W).
        error: str or None.
        keypoints: float32 `[N, J, 3]` or None.
        class_names: class names by class id, background first, or None. Set by `MaskRCNN.detect`.
        keypoint_names: names of the J keypoints, or None. Set by `MaskRCNN.detect`.
        track_ids: int32 `[N]`, identity of each object across the frames of a video, -1 for objects without a track;
            or None. Set by trackers.
        probabilities: list of N float arrays `[Q, Q]`, the predicted mask probabilities inside `frames`; or None. Set
            by detection with mask refinement. Objects whose mask was merged from several tiles have None.
        frames: float64 `[N, 4]`, boxes of `probabilities` in pixels, which may extend beyond the image; or None.
        source: the image as passed to `MaskRCNN.detect` (an array, a PIL image or a path), the frame of a video passed
            to `MaskRCNN.detect_stream`, or None.

    Raises:
        ValueError: if the arguments differ in length or a crop does not have the size of its box.
    """

    def __init__(
        self,
        boxes: ArrayLike,
        class_ids: ArrayLike,
        scores: ArrayLike,
        mask_crops: Iterable[np.ndarray] | None,
        image_shape: Sequence[int],
        error: str | None = None,
        keypoints: ArrayLike | None = None,
    ):
        self.boxes = np.asarray(boxes, dtype=np.int32).reshape(-1, 4)
        self.class_ids = np.asarray(class_ids, dtype=np.int32).reshape(-1)
        self.scores = np.asarray(scores, dtype=np.float32).reshape(-1)
        self.has_masks = mask_crops is not None
        self.mask_crops = [_full_crop(box) for box in self.boxes] if mask_crops is None else list(mask_crops)
        self.image_shape = (int(image_shape[0]), int(image_shape[1]))
        self.error = error
        self.keypoints = None if keypoints is None else np.asarray(keypoints, dtype=np.float32)
        self.class_names: list[str] | None = None
        self.keypoint_names: list[str] | None = None
        self.track_ids: np.ndarray | None = None
        self.probabilities: list[np.ndarray | None] | None = None
        self.frames: np.ndarray | None = None
        self.source: Any = None
        lengths = {len(self.boxes), len(self.class_ids), len(self.scores), len(self.mask_crops)}
        sizes = self.boxes[:, 2:] - self.boxes[:, :2]
        if len(lengths) > 1 or any(
            crop.shape != tuple(size) for crop, size in zip(self.mask_crops, sizes, strict=True)
        ):
            raise ValueError(
                f"Detections: expected one class id, one score and one crop of the box's size for each of "
                f"{len(self.boxes)} boxes, got {len(self.class_ids)} class ids, {len(self.scores)} scores and crops of "
                f"shapes {[crop.shape for crop in self.mask_crops]}."
            )
        if self.keypoints is not None and (len(self.keypoints), *self.keypoints.shape[2:]) != (len(self.boxes), 3):
            raise ValueError(
                f"Detections: expected keypoints [{len(self.boxes)}, J, 3], got {list(self.keypoints.shape)}."
            )
        if (self.boxes < 0).any() or (self.boxes[:, 2:] > self.image_shape).any():
            raise ValueError(
                f"Detections: expected boxes inside the image {self.image_shape}, got {self.boxes.tolist()}."
            )

    @classmethod
    def from_instances(
        cls, instances: Iterable[Detection], image_shape: Sequence[int], has_masks: bool = True, num_keypoints: int = 0
    ) -> Detections:
        """Creates `Detections` in descending score order, without masks if `has_masks` is False.

        `num_keypoints` determines the shape of the keypoint array if there are no instances.
        """
        ordered = sorted(instances, key=lambda instance: -instance.score)
        keypoints: Any = [instance.keypoints for instance in ordered if instance.keypoints is not None]
        keypoints = keypoints or np.zeros((0, num_keypoints, 3))
        detections = cls(
            [instance.box for instance in ordered],
            [instance.class_id for instance in ordered],
            [instance.score for instance in ordered],
            [instance.mask for instance in ordered] if has_masks else None,
            image_shape,
            keypoints=keypoints if len(keypoints) == len(ordered) and (ordered or num_keypoints) else None,
        )
        if any(instance.probabilities is not None for instance in ordered):
            detections.probabilities = [instance.probabilities for instance in ordered]
            detections.frames = np.array([instance.frame or (0, 0, 0, 0) for instance in ordered], dtype=np.float64)
        return detections

    @classmethod
    def from_result(cls, result: Mapping[str, Any] | Detections) -> Detections:
        """Creates `Detections` from Matterport's result dict.

        Args:
            result: "rois" `[N, 4]`, "class_ids" `[N]`, "scores" `[N]`, "masks" bool `[H, W, N]`. Boxes are clipped to
                the image, empty boxes are removed, and masks are cropped to their boxes. A `Detections` object is
                returned unchanged if none of its keys has been assigned.
        """
        if isinstance(result, Detections) and result._items is None:
            return result
        height, width = result["masks"].shape[:2]
        boxes = np.clip(np.asarray(result["rois"]).reshape(-1, 4), 0, (height, width, height, width))
        keep = np.flatnonzero((boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3]))
        crops = [result["masks"][y1:y2, x1:x2, i].copy() for i in keep for y1, x1, y2, x2 in [boxes[i]]]
        class_ids, scores = np.asarray(result["class_ids"])[keep], np.asarray(result["scores"])[keep]
        return cls(boxes[keep], class_ids, scores, crops, (height, width), result.get("error"))

    @classmethod
    def failed(cls, error: Exception | str) -> Detections:
        """Creates empty `Detections` for an image that could not be processed."""
        return cls(np.zeros((0, 4)), [], [], [], (0, 0), str(error))

    @cached_property
    def masks(self) -> np.ndarray | None:
        """Masks at the size of the image, bool `[H, W, N]`, or None if there are none. Computed at the first access.

        The array is a transposed view in which each mask is contiguous. It may be edited or replaced; all methods
        then use the edited masks.
        """
        if not self.has_masks:
            return None
        masks = np.zeros((len(self), *self.image_shape), dtype=bool)
        for full, (y1, x1, y2, x2), crop in zip(masks, self.boxes, self.mask_crops, strict=True):
            full[y1:y2, x1:x2] = crop
        return masks.transpose(1, 2, 0)

    def full_mask(self, index: int) -> np.ndarray:
        """Returns the mask of an object at the size of the image, bool `[H, W]`. Without masks, its box is filled."""
        pasted = self.__dict__.get("masks")  # scripts may have edited the pasted masks
        if pasted is not None:
            return pasted[:, :, index]
        mask = np.zeros(self.image_shape, dtype=bool)
        y1, x1, y2, x2 = self.boxes[index]
        mask[y1:y2, x1:x2] = self.mask_crops[index]
        return mask

    def _crop(self, index: int) -> np.ndarray:
        y1, x1, y2, x2 = self.boxes[index]
        pasted = self.__dict__.get("masks")
        return self.mask_crops[index] if pasted is None else pasted[y1:y2, x1:x2, index]

    def _is_edited(self, index: int) -> bool:
        """Returns whether the pasted mask of an object has been changed since it was pasted."""
        pasted, crop = self.__dict__.get("masks"), self.mask_crops[index]
        return pasted is not None and not (
            np.array_equal(self._crop(index), crop) and np.count_nonzero(pasted[:, :, index]) == np.count_nonzero(crop)
        )

    @property
    def num_keypoints(self) -> int:
        """Number of keypoints per object; 0 if there are no keypoints."""
        return 0 if self.keypoints is None else self.keypoints.shape[1]

    def __len__(self) -> int:
        return len(self.boxes)

    def __iter__(self) -> Iterator[Detection]:
        for i, (box, class_id, score) in enumerate(zip(self.boxes, self.class_ids, self.scores, strict=True)):
            points = None if self.keypoints is None else self.keypoints[i]
            predicted: tuple = ()
            if self.probabilities is not None and self.frames is not None and self.is_sub_pixel(i):
                predicted = (self.probabilities[i], tuple(self.frames[i].tolist()))
            yield Detection(tuple(box.tolist()), self._crop(i), int(class_id), float(score), points, *predicted)

    def __getitem__(self, key: str | int | slice | np.ndarray) -> Any:
        """Returns an array for a key of Matterport's dict, a `Detection` for an index, or a subset of the detections.

        Args:
            key: one of `keys()`, a class name, an index, a slice, a bool array `[N]` or an int array `[n]`.
        """
        if isinstance(key, str):
            if key in self.keys():
                return self._item(key)
            if key in (self.class_names or ())[1:]:
                return self.filter(classes=[key])
            raise KeyError(key)
        rows = np.arange(len(self))[key]
        if rows.ndim == 0:
            return next(iter(self[rows[None]]))
        crops = [self._crop(row) for row in rows] if self.has_masks else None
        points = None if self.keypoints is None else self.keypoints[rows]
        chosen = Detections(
            self.boxes[rows], self.class_ids[rows], self.scores[rows], crops, self.image_shape, self.error, points
        )
        chosen.class_names, chosen.keypoint_names, chosen.source = self.class_names, self.keypoint_names, self.source
        chosen.track_ids = None if self.track_ids is None else self.track_ids[rows]
        if self.probabilities is not None and self.frames is not None and not any(map(self._is_edited, rows)):
            chosen.probabilities, chosen.frames = [self.probabilities[row] for row in rows], self.frames[rows]
        return chosen

    def __repr__(self) -> str:
        height, width = self.image_shape
        problem = "" if self.error is None else f", error={self.error!r}"
        return f"Detections({len(self)} objects, image {height} x {width}{problem})"

    # --- selection and contours ---

    @property
    def names(self) -> list[str]:
        """The class name of each object, or a placeholder such as "class 7" if the name is not known."""
        known = self.class_names or []
        return [str(known[i]) if i < len(known) else f"class {i}" for i in self.class_ids.tolist()]

    def filter(self, min_confidence: float = 0.0, classes: Iterable[str | int] | None = None) -> Detections:
        """Returns the objects of the given classes with at least the given score.

        Args:
            min_confidence: minimum score, 0..1.
            classes: class names or ids; None for all.

        Raises:
            ValueError: if a name is not among `class_names`.
        """
        keep = self.scores >= min_confidence
        if classes is not None:
            wanted = [classes] if isinstance(classes, (str, int)) else list(classes)
            known = list(self.class_names or ())
            unknown = [name for name in wanted if isinstance(name, str) and name not in known]
            if unknown:
                raise ValueError(f"classes: expected names among {known or 'class ids'}, got {unknown}.")
            keep &= np.isin(self.class_ids, [known.index(c) if isinstance(c, str) else int(c) for c in wanted])
        return self[keep]

    def is_sub_pixel(self, index: int) -> bool:
        """Returns whether the `rings` of an object have sub-pixel precision.

        This requires `probabilities` and a mask that has not been edited in `masks`.
        """
        return self.probabilities is not None and self.probabilities[index] is not None and not self._is_edited(index)

    def rings(self, index: int) -> list[np.ndarray]:
        """Returns the closed contours of an object, including its holes. Without masks, returns the outline of its box.

        Contours are computed by `mrcnn.ops.contours.probability_rings` if `is_sub_pixel`, else by `mask_to_rings`.

        Args:
            index: index of the object.
        """
        from mrcnn.ops.contours import mask_to_rings, probability_rings

        if self.is_sub_pixel(index):
            assert self.probabilities is not None and self.frames is not None  # for the type checker
            probabilities = self.probabilities[index]
            assert probabilities is not None
            return probability_rings(probabilities, self.frames[index], self.image_shape)
        y1, x1, y2, x2 = self.boxes[index].tolist()
        if not self.has_masks:
            return [np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)], dtype=np.float64)]
        return [ring + (x1, y1) for ring in mask_to_rings(self._crop(index))]

    def polygons(self, tolerance: float = 0.5) -> list[list[np.ndarray]]:
        """Returns the simplified contours of each object, including holes; see `rings`.

        Args:
            tolerance: maximum distance from the contour, in pixels.

        Returns:
            N lists of float64 `[P, 2]`, (x, y) in pixels of the image. The first point is not repeated.
        """
        from mrcnn.ops.contours import simplify

        simple = [[simplify(ring, tolerance) for ring in self.rings(index)] for index in range(len(self))]
        return [[ring for ring in rings if len(ring) >= 3] for rings in simple]

    # --- drawing ---

    def image(self) -> np.ndarray:
        """Returns the image, uint8 RGB `[H, W, 3]`, from `source`, which may be a path or a URL.

        Raises:
            ValueError: if `source` is None. `MaskRCNN.detect` sets `source` for images, `detect_stream` for videos.
        """
        from mrcnn.data.fetch import read_path_or_url
        from mrcnn.visualization.drawing import new_canvas

        if self.source is None:
            raise ValueError("Detections: no image is stored. Pass the image, for example to detections.draw(image).")
        return new_canvas(self.source) if isinstance(self.source, np.ndarray) else read_path_or_url(self.source)

    def draw(self, image: np.ndarray | None = None, **options: Any) -> np.ndarray:
        """Returns a copy of the image with masks, outlines (or boxes) and captions, uint8 RGB `[H, W, 3]`.

        Args:
            image: `[H, W, 3]` RGB, or a greyscale or RGBA image; by default `image()`.
            **options: options of `mrcnn.visualization.drawing.overlay`, such as `boxes=True` or `alpha=0.3`.
        """
        from mrcnn.visualization.drawing import caption, overlay

        captions = [caption(self.class_names or (), item.class_id, item.score) for item in self]
        if self.track_ids is not None:
            captions = [f"#{i} {text}" if i >= 0 else text for i, text in zip(self.track_ids, captions, strict=True)]
        return overlay(self.image() if image is None else image, self, (), **{"captions": captions} | options)

    def crops(self, image: np.ndarray | None = None, margin: float = 0.1, cutout: bool = False) -> list[np.ndarray]:
        """Returns a crop of the image for each object; see `mrcnn.visualization.drawing.crops`."""
        from mrcnn.visualization.drawing import crops

        return crops(self.image() if image is None else image, self, margin, cutout)

    def plot(self, image: np.ndarray | None = None, width: float = 10.0, **options: Any) -> Figure:
        """Returns the result of `draw` as a Matplotlib figure, which notebooks display.

        Args:
            image: see `draw`.
            width: width of the figure in inches.
            **options: see `draw`.
        """
        from matplotlib.figure import Figure

        pixels = self.draw(image, **options)
        figure = Figure(figsize=(width, width * pixels.shape[0] / pixels.shape[1]))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(pixels)
        axes.set_axis_off()
        return figure

    def _repr_png_(self) -> bytes | None:
        """Returns the drawn image for notebooks, or None if `source` is None."""
        import io

        import PIL.Image

        if self.source is None:
            return None
        buffer = io.BytesIO()
        PIL.Image.fromarray(self.draw()).save(buffer, "PNG")
        return buffer.getvalue()

    # --- conversion ---

    def to_labelme(self, image_path: str | None = None) -> dict[str, Any]:
        """Returns a labelme document (JSON values), as written by `nike detect --save labelme`.

        Objects with holes become exact masks. Other objects become polygons with few points. With mask refinement, the
        polygons are smooth and have sub-pixel precision; otherwise, their IoU with the mask is at least 0.99. Objects
        without masks become rectangles. Keypoints become points.

        Args:
            image_path: path of the image relative to the JSON file (default: the file name of `source`).
        """
        if image_path is None:
            image_path = Path(self.source).name if isinstance(self.source, (str, Path)) else ""
        shapes = labelme.detections_to_shapes(self, self.names)
        return labelme.labelme_document(image_path, *self.image_shape, shapes)

    def to_coco(self, image_id: int = 0) -> list[dict[str, Any]]:
        """Returns entries of a COCO results file: boxes (x, y, width, height), scores and run-length encoded masks.

        The entries have an id, an area and `iscrowd`, so they are also valid annotations of a COCO dataset. Without
        masks, they have no `segmentation`.
        """
        return formats.to_coco(self, image_id)

    def to_supervision(self) -> supervision.Detections:
        """Returns `supervision.Detections` with masks, scores, class ids and `data["class_name"]`."""
        return formats.to_supervision(self)

    def to_pandas(self) -> pandas.DataFrame:
        """Returns a table with the columns class, class_id, score, x1, y1, x2, y2 (half-open pixels) and area."""
        return formats.to_pandas(self)

    def to_json(self, indent: int | None = None) -> str:
        """Returns JSON: the image size and the class, score, box (x1, y1, x2, y2), area and polygons of each object.

        An object has one polygon per part, with holes filled. Without masks, area and polygon are computed from the
        box.
        """
        height, width = self.image_shape
        objects = formats.to_records(self)
        return json.dumps({"width": width, "height": height, "error": self.error, "objects": objects}, indent=indent)

    def save(self, path: str | Path, image: np.ndarray | None = None) -> Path:
        """Writes the drawn image (.jpg, .png, .webp) or `to_json` (.json), atomically.

        Args:
            path: path of the file.
            image: see `draw`.

        Raises:
            ValueError: if the path has another suffix.
        """
        suffix = (path := Path(path)).suffix.lower()
        if suffix not in (".json", ".jpg", ".jpeg", ".png", ".webp"):
            raise ValueError(f"{path}: expected a name that ends in .jpg, .png, .webp or .json.")
        with replacing(path) as temporary:
            if suffix == ".json":
                temporary.write_text(self.to_json(indent=2) + "\n", encoding="utf-8")
            else:
                import PIL.Image

                PIL.Image.fromarray(self.draw(image)).save(temporary)
        return path


def _full_crop(box: np.ndarray) -> np.ndarray:
    """Returns a mask that is True everywhere in its box, as a read-only view of a single value."""
    return np.broadcast_to(np.True_, tuple(np.maximum(box[2:] - box[:2], 0)))
