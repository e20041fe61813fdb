"""The folders, datasets and weights that scripts for the original expect, and a function that runs a script."""

import json
import os
import pathlib
import runpy
import shutil
import sys

import keras
import numpy as np
import pytest
import skimage.draw
import skimage.io

from mrcnn.config import Config

SCRIPTS = pathlib.Path(__file__).parent / "scripts"
SIDE = 64


def toy_backbone(image, stage5, train_bn):
    """Returns five convolutions with the strides of a backbone."""
    features = []
    for i, stride in enumerate((4, 1, 2, 2, 2), 1):
        image = keras.layers.Conv2D(8, 5, stride, padding="same", activation="relu", name=f"toy{i}")(image)
        features.append(image)
    return features


def toy_shapes(image_shape):
    """Returns the sizes of P2 to P6, `[5, 2]`."""
    return [[-(-side // stride) for side in image_shape[:2]] for stride in (4, 8, 16, 32, 64)]


# Settings of a network that trains within seconds. Scripts override them like the defaults of the original.
SMALL = dict(
    BACKBONE=staticmethod(toy_backbone),
    COMPUTE_BACKBONE_SHAPE=staticmethod(toy_shapes),
    IMAGES_PER_GPU=1,
    STEPS_PER_EPOCH=2,
    VALIDATION_STEPS=0,  # AP only, because validation losses require a second compilation; some scripts override this
    IMAGE_MIN_DIM=SIDE,
    IMAGE_MAX_DIM=SIDE,
    RPN_ANCHOR_SCALES=(8, 16, 32, 48, 64),
    TOP_DOWN_PYRAMID_SIZE=16,
    FPN_CLASSIF_FC_LAYERS_SIZE=32,
    RPN_CHANNELS=16,
    MASK_HEAD_CHANNELS=16,
    MASK_HEAD_CONVOLUTIONS=2,
    PRE_NMS_LIMIT=200,
    POST_NMS_ROIS_TRAINING=50,
    POST_NMS_ROIS_INFERENCE=40,
    TRAIN_ROIS_PER_IMAGE=16,
    MAX_GT_INSTANCES=8,
    DETECTION_MAX_INSTANCES=10,
)


@pytest.fixture(scope="module", autouse=True)
def small_defaults():
    """Replaces the defaults of Config with those of a small network, so that unchanged scripts run fast."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(Config, name, value)
        yield


@pytest.fixture(scope="module")
def project(tmp_path_factory, small_defaults):
    """Creates a folder like a clone of the original, with samples, images, datasets and `mask_rcnn_coco.h5`."""
    root = tmp_path_factory.mktemp("project")
    for folder in ("coco", "balloon"):
        shutil.copytree(SCRIPTS, root / "samples" / folder)
    write_weights(root)
    return root


@pytest.fixture
def run_script(project, monkeypatch):
    """Returns a function that runs a script and returns its globals.

    Example: `run_script("balloon.py", "train", ..., cwd="samples/balloon")`.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    monkeypatch.setenv("MRCNN_WEIGHTS_DIR", str(project))

    def run(name: str, *arguments, cwd: str = "samples/coco") -> dict:
        monkeypatch.chdir(project / cwd)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        monkeypatch.setattr(sys, "path", [os.getcwd(), *sys.path])
        for module in ("balloon", "coco"):
            sys.modules.pop(module, None)
        keras.utils.set_random_seed(0)
        try:
            return runpy.run_path(name, run_name="__main__")
        finally:
            pyplot.close("all")

    return run


def write_weights(root: pathlib.Path) -> None:
    """Writes `mask_rcnn_coco.h5` with 81 classes, and MobileNetV2 weights under the name of the published file."""
    from mrcnn import checkpoints
    from mrcnn.backbones import build_backbone
    from mrcnn.model import MaskRCNN
    from mrcnn.network import named_layers

    MaskRCNN("inference", Config().copy(NUM_CLASSES=81), root).save_weights(root / "mask_rcnn_coco.h5")
    image = keras.Input((None, None, 3))
    mobilenet = keras.Model(image, build_backbone("mobilenet_v2", image, train_bn=False))
    weights = root / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    checkpoints.save_weights(named_layers(mobilenet), weights)


def draw_triangles(seed: int, count: int = 2) -> tuple[np.ndarray, list[tuple[list[int], list[int]]]]:
    """Returns an image of triangles `[60, 80, 3]` uint8 and their outlines (all x, all y)."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 80, (60, 80, 3), dtype=np.uint8)
    outlines = []
    for _ in range(count):
        y, x, s = rng.integers(14, 44), rng.integers(14, 64), rng.integers(8, 14)
        xs, ys = [int(x - s), int(x + s), int(x)], [int(y + s), int(y + s), int(y - s)]
        image[skimage.draw.polygon(ys, xs)] = rng.integers(128, 256, 3)
        outlines.append((xs, ys))
    return image, outlines


@pytest.fixture(scope="module")
def via_dataset(project):
    """Writes `dataset/{train,val}` with images and JSON files of VIA 2 (`train`) and VIA 1 (`val`)."""
    names = ("dent", "scratch")
    for subset, count in (("train", 4), ("val", 2)):
        folder = project / "dataset" / subset
        folder.mkdir(parents=True)
        records = {}
        for i in range(count):
            image, outlines = draw_triangles(10 * count + i)
            name = f"{i}.jpg"
            if i == 1:
                name, image = "1.png", np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
            skimage.io.imsave(folder / name, image, check_contrast=False)
            regions = [
                {
                    "shape_attributes": {"name": "polygon", "all_points_x": xs, "all_points_y": ys},
                    "region_attributes": {"names": names[k % 2]},
                }
                for k, (xs, ys) in enumerate(outlines)
            ]
            records[f"{name}123"] = {"filename": name, "size": 123, "regions": regions, "file_attributes": {}}
        records["empty"] = {"filename": "none.jpg", "size": 1, "regions": []}
        (folder / "via_region_data.json").write_text(json.dumps(records))
    return project / "dataset"


@pytest.fixture(scope="module")
def nucleus_dataset(project):
    """Writes `nuclei/<id>/images/<id>.png` and one PNG file per mask."""
    for i in range(6):
        folder = project / "nuclei" / f"cell{i}"
        (folder / "images").mkdir(parents=True)
        (folder / "masks").mkdir()
        image, outlines = draw_triangles(100 + i)
        skimage.io.imsave(folder / "images" / f"cell{i}.png", image, check_contrast=False)
        for k, (xs, ys) in enumerate(outlines):
            mask = skimage.draw.polygon2mask(image.shape[:2], np.transpose([ys, xs]))
            skimage.io.imsave(folder / "masks" / f"{k}.png", mask.astype(np.uint8) * 255, check_contrast=False)
    return project / "nuclei"


@pytest.fixture(scope="module")
def coco_dataset(project):
    """Writes images and `coco/annotations/instances_{train,val}2017.json` with 80 classes, polygons and a crowd."""
    root = project / "coco"
    (root / "annotations").mkdir(parents=True)
    categories = [{"id": i, "name": f"thing {i}", "supercategory": "thing"} for i in range(1, 81)]
    for subset, count in (("train", 4), ("val", 2)):
        (root / f"{subset}2017").mkdir()
        images, annotations = [], []
        for i in range(count):
            image, outlines = draw_triangles(200 + 10 * count + i)
            name = f"{i:012}.jpg"
            skimage.io.imsave(root / f"{subset}2017" / name, image, check_contrast=False)
            images.append({"id": 500 + i, "file_name": name, "height": image.shape[0], "width": image.shape[1]})
            for xs, ys in outlines:
                points = [float(value) for point in zip(xs, ys, strict=True) for value in point]
                box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
                annotations.append({"segmentation": [points], "bbox": box, "area": box[2] * box[3] / 2, "iscrowd": 0})
            counts = [0, 600, image.shape[0] * image.shape[1] - 600]
            crowd = {"counts": counts, "size": list(image.shape[:2])}
            annotations.append({"segmentation": crowd, "bbox": [0, 0, 10, 60], "area": 600, "iscrowd": 1})
            for annotation in annotations[-len(outlines) - 1 :]:
                annotation |= {"image_id": 500 + i, "category_id": 1 + i}
        for number, annotation in enumerate(annotations, 1):
            annotation["id"] = number
        content = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
        (root / "annotations" / f"instances_{subset}2017.json").write_text(json.dumps(content))
    return root


@pytest.fixture(scope="module")
def kangaroo_dataset(project):
    """Writes `kangaroo/images/0000N.jpg` and `kangaroo/annots/0000N.xml` with boxes."""
    for folder in ("images", "annots"):
        (project / "kangaroo" / folder).mkdir(parents=True)
    for i in range(1, 6):
        image, outlines = draw_triangles(300 + i)
        skimage.io.imsave(project / "kangaroo" / "images" / f"{i:05}.jpg", image, check_contrast=False)
        boxes = "".join(
            f"<object><name>kangaroo</name><bndbox><xmin>{min(xs)}</xmin><ymin>{min(ys)}</ymin><xmax>{max(xs)}</xmax>"
            f"<ymax>{max(ys)}</ymax></bndbox></object>"
            for xs, ys in outlines
        )
        size = "<size><width>80</width><height>60</height><depth>3</depth></size>"
        (project / "kangaroo" / "annots" / f"{i:05}.xml").write_text(f"<annotation>{size}{boxes}</annotation>")
    return project / "kangaroo"
