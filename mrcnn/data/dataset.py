"""The base class of datasets. Subclass it for your own data.

    class ShapesDataset(Dataset):
        def load_shapes(self, folder):
            self.add_class("shapes", 1, "circle")
            for path in sorted(folder.glob("*.png")):
                self.add_image("shapes", image_id=path.name, path=str(path))

        def load_mask(self, image_id):
            ...
            return masks, class_ids

    dataset = ShapesDataset()
    dataset.load_shapes(folder)
    dataset.prepare()

A *source* is the origin of images and classes, such as "coco". Images and classes have an id in their source, which can
be any value, and an internal id, which is their index in the dataset. Class 0 is the background.
"""

import logging
from typing import Any

import numpy as np

from mrcnn.data.image_files import read_image
from mrcnn.errors import UserError

logger = logging.getLogger(__name__)


class Dataset:
    """Images with instance masks from one or more sources. Images and masks are read lazily.

    The attributes except `image_info` and `class_info` are set by `prepare()`.

    Attributes:
        image_info: list of dicts with the keys "id", "source" and "path", and the arguments of `add_image`.
        class_info: list of dicts with the keys "id", "source" and "name", background first.
        num_classes: number of classes, background included.
        num_images: number of images.
        class_ids: `[num_classes]` internal class ids.
        image_ids: `[num_images]` internal image ids.
        class_names: list of class names by internal id, shortened by `clean_name`.
        sources: list of the source names. The source of the background is "".
        source_class_ids: dict of the internal class ids of each source, background included.
        class_from_source_map: dict of internal class ids by "source.id".
        image_from_source_map: dict of internal image ids by "source.id".

    Source: Matterport.
    """

    def __init__(self, class_map: Any = None):
        """Creates an empty dataset. `class_map` is unused, as in Matterport's code."""
        self._image_ids = np.arange(0)
        self.image_info: list[dict[str, Any]] = []
        self.class_info: list[dict[str, Any]] = [{"source": "", "id": 0, "name": "BG"}]
        self.source_class_ids: dict[str, list[int]] = {}

    def __getattr__(self, name: str) -> Any:
        # Python calls this method only for missing attributes.
        hint = " Call prepare() after the last add_class() and add_image()." if name in _SET_BY_PREPARE else ""
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.{hint}")

    def add_class(self, source: str, class_id: Any, class_name: str) -> None:
        """Adds a class. Does nothing if the source already has a class with this id.

        Args:
            source: name of the source, without a dot.
            class_id: id of the class in the source.
            class_name: name of the class.

        Raises:
            ValueError: if the name of the source contains a dot.
        """
        if "." in source:
            raise UserError(
                f"add_class: the name of a source must not contain a dot, got {source!r}. Rename the source."
            )
        if any(info["source"] == source and info["id"] == class_id for info in self.class_info):
            return
        self.class_info.append({"source": source, "id": class_id, "name": class_name})

    def add_image(self, source: str, image_id: Any, path: Any, **kwargs: Any) -> None:
        """Adds an image.

        Args:
            source: name of the source.
            image_id: id of the image in the source, such as its file name.
            path: path of the image file, or None if `load_image` is overridden.
            **kwargs: further entries of `image_info`, for example for `load_mask`.
        """
        self.image_info.append({"id": image_id, "source": source, "path": path, **kwargs})

    def append_data(self, class_info: list[dict[str, Any]], image_info: list[dict[str, Any]]) -> None:
        """Adds all classes and images of another dataset, given its `class_info` and `image_info`."""
        for info in class_info:
            if info["source"]:  # skips the background
                self.add_class(info["source"], info["id"], info["name"])
        for info in image_info:
            self.add_image(**{"image_id" if key == "id" else key: value for key, value in info.items()})

    def prepare(self, class_map: Any = None) -> None:
        """Assigns the internal ids. Call it after the last `add_class` and `add_image`.

        Args:
            class_map: unused, as in Matterport's code.
        """
        self.num_classes = len(self.class_info)
        self.class_ids = np.arange(self.num_classes)
        self.class_names = [clean_name(info["name"]) for info in self.class_info]
        self.num_images = len(self.image_info)
        self._image_ids = np.arange(self.num_images)
        self.class_from_source_map = {f"{info['source']}.{info['id']}": i for i, info in enumerate(self.class_info)}
        self.image_from_source_map = {f"{info['source']}.{info['id']}": i for i, info in enumerate(self.image_info)}
        self.sources = list(dict.fromkeys(info["source"] for info in self.class_info))
        self.source_class_ids = {
            source: [i for i, info in enumerate(self.class_info) if i == 0 or info["source"] == source]
            for source in self.sources
        }

    @property
    def image_ids(self) -> np.ndarray:
        """`[num_images]` internal image ids, empty before `prepare()`."""
        return self._image_ids

    def map_source_class_id(self, source_class_id: str) -> int:
        """Returns the internal id of a class, given as "source.id", for example "coco.12".

        Raises:
            ValueError: if the class does not exist.
        """
        if source_class_id not in self.class_from_source_map:
            known = ", ".join(list(self.class_from_source_map)[1:11])
            raise UserError(f'{type(self).__name__}: unknown class "{source_class_id}". Known: {known or "none"}.')
        return self.class_from_source_map[source_class_id]

    def get_source_class_id(self, class_id: int, source: str) -> Any:
        """Returns the id of a class in its source, given its internal id.

        Raises:
            ValueError: if the class has another source.
        """
        info = self.class_info[class_id]
        if info["source"] != source:
            raise UserError(
                f"class {class_id} ({info['name']}) belongs to source {info['source']!r}, not to {source!r}."
            )
        return info["id"]

    def image_reference(self, image_id: int) -> Any:
        """Returns a link, path or id of the image for display. The default is ""; subclasses should override it."""
        return ""

    def source_image_link(self, image_id: int) -> Any:
        """Returns the path or URL of the image."""
        return self.image_info[image_id]["path"]

    def load_image(self, image_id: int) -> np.ndarray:
        """Reads an image. Override it for images that are not RGB files.

        Returns:
            `[H, W, 3]` uint8 RGB.

        Raises:
            FileNotFoundError: if the file does not exist.
            ValueError: if the image has no path or cannot be read; see `read_image`.
        """
        info = self.image_info[image_id]
        where = f"{type(self).__name__}, image {image_id} ({info['source']}.{info['id']})"
        if info["path"] is None:
            raise UserError(f"{where} has no path. Pass path to add_image(), or override load_image().")
        try:
            return read_image(info["path"])
        except (FileNotFoundError, ValueError) as error:
            raise type(error)(f"{where}: {error}") from error

    def load_mask(self, image_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the instances of an image. Override it; the default returns no instances.

        Returns:
            masks: `[H, W, N]` bool.
            class_ids: `[N]` int32 internal class ids, negative for regions to ignore (crowds).
        """
        logger.warning("%s does not override load_mask(), so its images have no instances.", type(self).__name__)
        info = self.image_info[image_id]
        if "height" in info and "width" in info:
            height, width = info["height"], info["width"]
        else:
            height, width = self.load_image(image_id).shape[:2]
        return np.zeros((height, width, 0), dtype=bool), np.zeros(0, dtype=np.int32)

    def load_keypoints(self, image_id: int) -> np.ndarray | None:
        """Returns the keypoints of the instances of `load_mask`. Override it to train with `Config.NUM_KEYPOINTS`.

        Returns:
            `[N, J, 3]` (x, y, visibility) in pixels of the image, 0 at the outer edge of the first pixel. The
            visibility follows COCO: 0 not labelled, 1 labelled but occluded, 2 visible. None (default) if the dataset
            has no keypoints.
        """
        return None


_SET_BY_PREPARE = (
    "num_classes",
    "class_ids",
    "class_names",
    "num_images",
    "class_from_source_map",
    "image_from_source_map",
    "sources",
)


def clean_name(name: str) -> str:
    """Returns the part of a class name before its first comma: "hound" for "hound, dog"."""
    return name.split(",")[0]
