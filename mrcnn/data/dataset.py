"""Dataset: the list of photos and classes that training, evaluation and notebooks work on. Subclass it for your data.

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

A *source* is a name for where photos and classes come from, such as "coco". Classes and photos have an id that their
source gave them (any value) and an internal number, their position here. Class 0 is the background.
"""

import logging
from typing import Any

import numpy as np

from mrcnn.data.reading import read_image

logger = logging.getLogger(__name__)


class Dataset:
    """Photos with instances, from one or more sources. Nothing is read before it is asked for.

    Attributes, set by `prepare()`:
        num_classes, num_images: counts; the background counts as a class.
        class_ids, image_ids: `[num_classes]` and `[num_images]` internal numbers.
        class_names: short names, by internal number.
        sources: names of the sources; "" is that of the background.
        source_class_ids: source -> internal numbers of its classes, background included.
        class_from_source_map, image_from_source_map: "source.id" -> internal number.

    Source: Matterport.
    """

    def __init__(self, class_map: Any = None):
        """`class_map` is not used; it is Matterport's argument."""
        self._image_ids = np.arange(0)
        self.image_info: list[dict[str, Any]] = []
        self.class_info: list[dict[str, Any]] = [{"source": "", "id": 0, "name": "BG"}]
        self.source_class_ids: dict[str, list[int]] = {}

    def __getattr__(self, name: str):
        # Reached only by attributes that do not exist.
        hint = " Call prepare() after the last add_class() and add_image()." if name in _SET_BY_PREPARE else ""
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.{hint}")

    def add_class(self, source: str, class_id: Any, class_name: str) -> None:
        """Adds a class, unless its source has one with this id already.

        Args:
            source: name of the source; without a dot.
            class_id: the source's id of the class.
            class_name: name of the class; of "hound, dog" only "hound" is shown.

        Raises:
            ValueError: a dot in the name of the source.
        """
        if "." in source:
            raise ValueError(f"add_class: a source's name cannot contain a dot, got {source!r}. Rename it.")
        if any(info["source"] == source and info["id"] == class_id for info in self.class_info):
            return
        self.class_info.append({"source": source, "id": class_id, "name": class_name})

    def add_image(self, source: str, image_id: Any, path: Any, **kwargs: Any) -> None:
        """Adds a photo.

        Args:
            source: name of the source.
            image_id: the source's id of the photo, such as its file name.
            path: the photo's file, or None if `load_image` is overridden and needs none.
            **kwargs: anything that `load_mask` and the like want to find in `image_info`.
        """
        self.image_info.append({"id": image_id, "source": source, "path": path, **kwargs})

    def append_data(self, class_info: list[dict[str, Any]], image_info: list[dict[str, Any]]) -> None:
        """Adds all classes and photos of another dataset, given its `class_info` and `image_info`."""
        for info in class_info:
            if info["source"]:  # the background has none
                self.add_class(info["source"], info["id"], info["name"])
        for info in image_info:
            self.add_image(**{"image_id" if key == "id" else key: value for key, value in info.items()})

    def prepare(self, class_map: Any = None) -> None:
        """Fixes the internal numbers. Call it after the last `add_class` and `add_image`.

        Args:
            class_map: not used; it is Matterport's argument.
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
        """`[num_images]` internal numbers of the photos; empty before `prepare()`."""
        return self._image_ids

    def map_source_class_id(self, source_class_id: str) -> int:
        """Internal number of a class, given as "source.id", for example "coco.12".

        Raises:
            ValueError: there is no such class.
        """
        if source_class_id not in self.class_from_source_map:
            known = ", ".join(list(self.class_from_source_map)[1:11])
            raise ValueError(f'{type(self).__name__}: no class "{source_class_id}". Known are {known or "none"}.')
        return self.class_from_source_map[source_class_id]

    def get_source_class_id(self, class_id: int, source: str) -> Any:
        """The source's id of a class, given its internal number.

        Raises:
            ValueError: the class is of another source.
        """
        info = self.class_info[class_id]
        if info["source"] != source:
            raise ValueError(f"class {class_id} ({info['name']}) is of source {info['source']!r}, not of {source!r}.")
        return info["id"]

    def image_reference(self, image_id: int) -> Any:
        """A link, path or id by which a person finds the photo again. Override it; here it is ""."""
        return ""

    def source_image_link(self, image_id: int) -> Any:
        """Path or URL of the photo."""
        return self.image_info[image_id]["path"]

    def load_image(self, image_id: int) -> np.ndarray:
        """Reads a photo. Override it for photos that are no files of 3 channels.

        Returns:
            `[H, W, 3]` uint8 RGB.

        Raises:
            FileNotFoundError, ValueError: the photo cannot be read; see `read_image`.
        """
        info = self.image_info[image_id]
        where = f"{type(self).__name__}, image {image_id} ({info['source']}.{info['id']})"
        if info["path"] is None:
            raise ValueError(f"{where} has no path. Give add_image() one, or override load_image().")
        try:
            return read_image(info["path"])
        except (FileNotFoundError, ValueError) as error:
            raise type(error)(f"{where}: {error}") from error

    def load_mask(self, image_id: int) -> tuple[np.ndarray, np.ndarray]:
        """The instances of a photo. Override it: here every photo is without any.

        Returns:
            masks: `[H, W, N]` bool.
            class_ids: `[N]` int32 internal numbers; negative for regions to ignore (crowds).
        """
        logger.warning("%s has no load_mask() of its own: photos are taken to show no instance.", type(self).__name__)
        info = self.image_info[image_id]
        if "height" in info and "width" in info:
            height, width = info["height"], info["width"]
        else:
            height, width = self.load_image(image_id).shape[:2]
        return np.zeros((height, width, 0), dtype=bool), np.zeros(0, dtype=np.int32)


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
    """The part of a class name before its first comma: "hound" of "hound, dog"."""
    return name.split(",")[0]
