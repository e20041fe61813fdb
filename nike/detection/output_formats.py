"""Output formats of `nike detect --save`, one class per format.

    with Outputs(Path("output"), ["overlay", "csv"], class_names) as outputs:
        outputs.write(picture, result)  # written in a background thread

Files are named after their source and written atomically. Sources are never overwritten, because only tables and
subfolders of the output folder are written, and `find_sources` rejects sources in these subfolders.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import PIL.Image

from mrcnn.atomic import replacing
from mrcnn.detections import Detections
from mrcnn.detections.formats import coco_categories, to_coco
from mrcnn.errors import UserError
from mrcnn.visualization.colors import distinct_colors
from mrcnn.visualization.drawing import color_splash, crops, overlay
from nike.datasets import photos
from nike.datasets.labelme import write_detections
from nike.detection.background_writer import BackgroundWriter
from nike.detection.sources import Picture
from nike.detection.video_writing import new_video
from nike.formatting import printable

JPEG_QUALITY = 92
MAX_JPEG_SIDE = 65_500  # pixels; libjpeg's limit (JPEG_MAX_DIMENSION)
CSV_COLUMNS = ("file", "frame", "number", "class", "score", "x1", "y1", "x2", "y2", "area", "width", "height", "track")


class Writer(Protocol):
    """Interface of an output format.

    Args:
        folder: folder for the files of this format. Tables are written next to it.
        class_names: class names by class id, background first.
        stack: exit stack that closes files with the results of several images.
    """

    def __init__(self, folder: Path, class_names: Sequence[str], stack: ExitStack): ...

    def write(self, picture: Picture, result: Detections) -> None:
        """Writes the detections of one image."""
        ...


def save_picture(path: Path, pixels: np.ndarray) -> Path:
    """Writes an image as JPEG, or as PNG if it has an alpha channel or is too large for JPEG.

    Args:
        path: path without suffix.
        pixels: uint8 RGB `[H, W, 3]`, or RGBA `[H, W, 4]`.

    Returns:
        The path with suffix.
    """
    is_jpeg = pixels.shape[2] == 3 and max(pixels.shape) <= MAX_JPEG_SIDE
    path = path.with_name(path.name + (".jpg" if is_jpeg else ".png"))
    # Chroma subsampling is disabled (4:4:4), because it would blur the thin colored lines of overlays.
    options: dict[str, Any] = {"quality": JPEG_QUALITY, "subsampling": 0} if is_jpeg else {}
    with replacing(path) as temporary:
        PIL.Image.fromarray(pixels).save(temporary, **options)
    return path


def draw_overlay(picture: Picture, result: Detections, class_names: Sequence[str]) -> np.ndarray:
    """Returns the image with tinted masks, outlines and labels. The labels of tracked objects contain track ids."""
    if result.track_ids is not None:
        return result.draw(picture.image)
    return overlay(picture.image, result, class_names)


def union_mask(result: Detections) -> np.ndarray:
    """Returns the union of all masks, or of all boxes if there are no masks, bool `[H, W]`."""
    inside = np.zeros(result.image_shape, dtype=bool)
    for item in result:
        y1, x1, y2, x2 = item.box
        inside[y1:y2, x1:x2] |= item.mask
    return inside


class _ImageFormat:
    """Base class of formats that write one image per input image and one video per input video."""

    def __init__(self, folder: Path, class_names: Sequence[str], stack: ExitStack):
        self.folder, self.class_names = folder, class_names
        self._video = stack.enter_context(ExitStack())
        self._source: Any = None
        self._add: Callable[[np.ndarray], None]

    def draw(self, picture: Picture, result: Detections) -> np.ndarray:
        raise NotImplementedError

    def write(self, picture: Picture, result: Detections) -> None:
        pixels = self.draw(picture, result)
        if picture.source != self._source:
            self._video.close()  # finalizes the previous video
            self._source = picture.source
            if picture.frame is not None:
                path = self.folder / f"{picture.name}.mp4"
                self._add = self._video.enter_context(new_video(path, picture.rate, pixels.shape, picture.source.path))
        if picture.frame is None:
            save_picture(self.folder / picture.name, pixels)
        else:
            self._add(pixels)


class Overlay(_ImageFormat):
    """Tinted masks with outlines and labels."""

    def draw(self, picture: Picture, result: Detections) -> np.ndarray:
        return draw_overlay(picture, result, self.class_names)


class Splash(_ImageFormat):
    """Objects in color on a gray background."""

    def draw(self, picture: Picture, result: Detections) -> np.ndarray:
        return color_splash(picture.image, union_mask(result))


class _FileFormat:
    """Base class of formats that write separate files for each image and video frame, with a folder per video."""

    def __init__(self, folder: Path, class_names: Sequence[str], stack: ExitStack):
        self.folder, self.class_names = folder, class_names

    def path(self, picture: Picture) -> Path:
        """Returns the output path of an image, without suffix."""
        folder = self.folder / picture.name
        return folder if picture.frame is None else folder / f"{picture.frame:06d}"


class Masks(_FileFormat):
    """One PNG per image with a palette: 0 is background, i is the i-th detection in order of decreasing score.

    Detections with higher scores cover detections with lower scores. Without masks, a detection covers its box.
    """

    def write(self, picture: Picture, result: Detections) -> None:
        numbers = np.zeros(result.image_shape, dtype=np.uint16)
        for i in reversed(range(len(result))):
            numbers[result.full_mask(i)] = i + 1
        image = PIL.Image.fromarray(numbers if len(result) > 255 else numbers.astype(np.uint8))
        if image.mode == "L":
            image.putpalette([0, 0, 0, *distinct_colors(255).ravel().tolist()])
        path = self.path(picture)
        with replacing(path.with_name(f"{path.name}.png")) as temporary:
            image.save(temporary)


class Crops(_FileFormat):
    """One PNG per detection: the region around it, with the mask, if any, as alpha channel."""

    def write(self, picture: Picture, result: Detections) -> None:
        path = self.path(picture)
        for i, crop in enumerate(crops(picture.image, result, cutout=result.has_masks), start=1):
            save_picture(path.with_name(f"{path.name}_{i}"), crop)


class Labelme(_FileFormat):
    """A labelme dataset: a copy of each image with its polygons, for correction in labelme."""

    def __init__(self, folder: Path, class_names: Sequence[str], stack: ExitStack):
        super().__init__(folder, class_names, stack)
        if next(photos.find_files(folder, frozenset((".json",))), None):
            raise UserError(
                f"{folder}: contains labelme files of an earlier run, which may have been corrected. "
                "Choose another --output or move them."
            )

    def write(self, picture: Picture, result: Detections) -> None:
        path, source = self.path(picture), picture.source.path
        if picture.frame is None and source is not None and source.suffix.lower() in photos.SUFFIXES:
            photo = path.with_name(path.name + source.suffix.lower())
            with replacing(photo) as temporary:
                shutil.copyfile(source, temporary)
        else:
            photo = save_picture(path, picture.image)
        write_detections(photo, result, self.class_names)


class Coco:
    """`detections.json` in COCO format: images, categories, and annotations with RLE masks and scores."""

    def __init__(self, folder: Path, class_names: Sequence[str], stack: ExitStack):
        self._images: list[dict] = []
        self._count = 0
        self._file = _open_text(folder.with_name("detections.json"), stack)
        # Annotations are written immediately to limit memory use.
        self._file.write(f'{{"categories": {json.dumps(coco_categories(class_names))},\n"annotations": [')
        stack.callback(self._finish)

    def write(self, picture: Picture, result: Detections) -> None:
        height, width = picture.image.shape[:2]
        image = {"id": len(self._images) + 1, "file_name": printable(picture.source.name)}
        image |= {"width": width, "height": height} | ({} if picture.frame is None else {"frame": picture.frame})
        self._images.append(image)
        for annotation in to_coco(result, image["id"], self._count + 1):
            self._file.write(("," if self._count else "") + "\n" + json.dumps(annotation))
            self._count += 1

    def _finish(self) -> None:
        images = ",\n".join(map(json.dumps, self._images))
        self._file.write(f'\n],\n"images": [\n{images}\n]}}\n')


class Csv:
    """`detections.csv`: one row per detection, with the box and the area of the mask (or of the box) in pixels."""

    def __init__(self, folder: Path, class_names: Sequence[str], stack: ExitStack):
        self.class_names = class_names
        self._table = csv.writer(_open_text(folder.with_name("detections.csv"), stack), lineterminator="\n")
        self._table.writerow(CSV_COLUMNS)

    def write(self, picture: Picture, result: Detections) -> None:
        height, width = picture.image.shape[:2]
        file, frame = printable(picture.source.name), "" if picture.frame is None else picture.frame
        tracks = result.track_ids
        for i, item in enumerate(result):
            y1, x1, y2, x2 = item.box
            number = "" if tracks is None or tracks[i] < 0 else int(tracks[i])
            area, name = np.count_nonzero(item.mask), self.class_names[item.class_id]
            row = [file, frame, i + 1, name, f"{item.score:.4f}", x1, y1, x2, y2, area, width, height, number]
            self._table.writerow(row)


def _open_text(path: Path, stack: ExitStack) -> IO[str]:
    temporary = stack.enter_context(replacing(path))
    return stack.enter_context(open(temporary, "w", encoding="utf-8", newline=""))


WRITERS: dict[str, type[Writer]] = {
    "overlay": Overlay,
    "splash": Splash,
    "masks": Masks,
    "crops": Crops,
    "labelme": Labelme,
    "coco": Coco,
    "csv": Csv,
}


def output_folders(folder: Path) -> list[Path]:
    """Returns the subfolders of the output folder that any output format writes to."""
    return [folder / kind for kind in WRITERS]


class Outputs:
    """Writes all selected output formats in a background thread.

    Args:
        folder: output folder for the tables. Other files are written into one subfolder per format.
        kinds: names of output formats, keys of WRITERS.
        class_names: class names by class id, background first.
    """

    def __init__(self, folder: Path, kinds: Sequence[str], class_names: Sequence[str]):
        folder.mkdir(parents=True, exist_ok=True)
        self._stack = ExitStack()
        try:
            self._writers = [WRITERS[kind](folder / kind, class_names, self._stack) for kind in kinds]
        except BaseException as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise
        # The context is entered last and exited first, so all results are written before the files are completed.
        self._background = self._stack.enter_context(BackgroundWriter())

    def write(self, picture: Picture, result: Detections) -> None:
        """Queues the results of one image for writing.

        Raises:
            OSError, ValueError: if the results of an earlier image could not be written.
        """
        self._background.call(self._write, picture, result)

    def _write(self, picture: Picture, result: Detections) -> None:
        for writer in self._writers:
            writer.write(picture, result)

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, kind: type | None, *exception: Any) -> None:
        if kind is KeyboardInterrupt:  # completes and keeps the files written so far
            kind, exception = None, (None, None)
        self._stack.__exit__(kind, *exception)
