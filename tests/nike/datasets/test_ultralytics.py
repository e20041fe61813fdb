"""YOLO segmentation datasets: Ultralytics reads those of this project, and this project reads those of Ultralytics.

Ultralytics rounds the points of polygons down to pixels and also draws the outline. Its masks are therefore up to one
pixel wider than by the rule of COCO, for which `nike convert` writes polygons. The test uses large shapes, for which
the difference is small.
"""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from scipy.ndimage import binary_fill_holes

from mrcnn.ops.polygons import iou
from nike.datasets.instance_parts import mask_piece, polygon_piece
from nike.datasets.read_any_format import FORMATS, read_dataset
from nike.datasets.records import Instance, Photo

HEIGHT, WIDTH = 960, 1280


@pytest.fixture
def ultralytics(tmp_path_factory, monkeypatch):
    """Returns the package, with its settings in a temporary folder and without network access."""
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path_factory.mktemp("settings")))
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    return pytest.importorskip("ultralytics", reason="ultralytics is not installed: pip install ultralytics")


@pytest.fixture
def masks():
    """Returns masks of large shapes: one with a hole, one with two parts, one at the image edge, one slanted."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(y - 300, x - 300)
    two = (abs(y - 300) < 150) & (abs(x - 900) < 250) & (abs(x - 900) > 60)
    return {
        "a ring": (distance < 260) & (distance > 120),
        "in parts": two,
        "on the edge": y >= 700,
        "slanted": (y + x > 900) & (y + x < 1400) & (y > 500),
    }


@pytest.fixture
def dataset(tmp_path, masks):
    """Writes a YOLO dataset with an image with the shapes and an image without objects, in `train` and `val`."""
    given = {}
    for part in ("train", "val"):
        for stem, objects in (("full", masks), ("empty", {})):
            path = tmp_path / "from" / f"{stem}_{part}.png"
            path.parent.mkdir(exist_ok=True)
            PIL.Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(path)
            instances = [Instance(label, (mask_piece(mask),)) for label, mask in objects.items()]
            given.setdefault(part, []).append(Photo(path.name, path, None, path.name, HEIGHT, WIDTH, instances))
    problems = []
    FORMATS["yolo"].write(tmp_path / "yolo", given, problems)
    assert not problems
    return tmp_path / "yolo"


@pytest.mark.parametrize("part", ["train", "val"])
def test_its_loader_reads_what_is_written(ultralytics, dataset, masks, part):
    from ultralytics.cfg import get_cfg
    from ultralytics.data.build import build_yolo_dataset
    from ultralytics.data.utils import check_det_dataset

    data = check_det_dataset(dataset / "data.yaml", autodownload=False)
    assert sorted(data["names"].values()) == sorted(masks)
    settings = get_cfg(overrides={"task": "segment", "imgsz": WIDTH, "mask_ratio": 1, "overlap_mask": False})
    loaded = build_yolo_dataset(settings, data[part], 1, data, mode="val")
    items = {Path(item["im_file"]).stem: item for item in loaded}
    labels = {Path(item["im_file"]).stem: item for item in loaded.labels}
    assert sorted(items) == [f"empty_{part}", f"full_{part}"] and len(items[f"empty_{part}"]["cls"]) == 0
    item, label = items[f"full_{part}"], labels[f"full_{part}"]
    found = [data["names"][int(number)] for number in item["cls"].flatten()]
    assert sorted(found) == sorted(masks)
    top = (item["masks"].shape[1] - HEIGHT) // 2  # the loader pads images to a square
    assert top == (WIDTH - HEIGHT) // 2
    for name, mask, segment in zip(found, item["masks"].numpy(), label["segments"], strict=True):
        assert iou(mask[top : top + HEIGHT].astype(bool), masks[name]) >= 0.99, name
        ours = Instance(name, (polygon_piece(segment * (WIDTH, HEIGHT), HEIGHT, WIDTH),))
        assert iou(ours.draw(HEIGHT, WIDTH), masks[name]) >= 0.99, name


def test_labels_written_by_ultralytics_are_read(ultralytics, dataset, masks):
    """`yolo predict save_txt=True` writes outlines through the centres of the outer pixels, without holes."""
    import torch
    from ultralytics.engine.results import Results

    names = dict(enumerate(masks))
    boxes = torch.zeros((len(masks), 6))
    boxes[:, 4], boxes[:, 5] = 0.9, torch.arange(len(masks))
    pixels = torch.from_numpy(np.stack(list(masks.values())))
    photo = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    target = dataset / "labels/train/full_train.txt"
    target.unlink()
    Results(photo, "full_train.png", names, boxes=boxes, masks=pixels).save_txt(target)
    (dataset / "data.yaml").write_text("train: images/train\nval: images/val\nnames: " + str(list(masks)))
    photos = {Path(photo.file).stem: photo for photo in read_dataset(dataset).photos}
    found = {instance.label: instance.draw(HEIGHT, WIDTH) for instance in photos["full_train"].instances}
    assert sorted(found) == sorted(masks)
    for name, mask in masks.items():
        assert iou(found[name], binary_fill_holes(mask)) >= 0.99, name
