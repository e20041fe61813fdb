"""Modelled on Kaggle notebooks: DICOM-like arrays, images without objects, four anchor scales, choice of the epoch."""

import os
import random
import sys

import matplotlib.pyplot as plt
import numpy as np
from imgaug import augmenters as iaa

ROOT_DIR = os.getcwd()
sys.path.append(os.path.join(ROOT_DIR, "Mask_RCNN"))
from mrcnn.config import Config
from mrcnn import utils
import mrcnn.model as modellib
from mrcnn import visualize
from mrcnn.model import log

ORIG_SIZE = 96


class DetectorConfig(Config):
    NAME = "pneumonia"
    GPU_COUNT = 1
    IMAGES_PER_GPU = 2
    NUM_CLASSES = 2
    IMAGE_MIN_DIM = 64
    IMAGE_MAX_DIM = 64
    RPN_ANCHOR_SCALES = (8, 16, 32, 64)
    TRAIN_ROIS_PER_IMAGE = 16
    MAX_GT_INSTANCES = 3
    DETECTION_MAX_INSTANCES = 3
    DETECTION_MIN_CONFIDENCE = 0.05
    DETECTION_NMS_THRESHOLD = 0.0
    STEPS_PER_EPOCH = 1
    VALIDATION_STEPS = 1
    LOSS_WEIGHTS = {
        "rpn_class_loss": 30.0,
        "rpn_bbox_loss": 0.8,
        "mrcnn_class_loss": 6.0,
        "mrcnn_bbox_loss": 1.0,
        "mrcnn_mask_loss": 1.2,
    }


class DetectorDataset(utils.Dataset):
    def __init__(self, image_fps, image_annotations, orig_height, orig_width):
        super().__init__(self)
        self.add_class("pneumonia", 1, "Lung Opacity")
        for i, fp in enumerate(image_fps):
            annotations = image_annotations[fp]
            self.add_image(
                "pneumonia",
                image_id=i,
                path=fp,
                annotations=annotations,
                orig_height=orig_height,
                orig_width=orig_width,
            )

    def image_reference(self, image_id):
        info = self.image_info[image_id]
        return info["path"]

    def load_image(self, image_id):
        image = np.random.RandomState(image_id).randint(0, 256, (ORIG_SIZE, ORIG_SIZE)).astype(np.uint8)
        if len(image.shape) != 3 or image.shape[2] != 3:
            image = np.stack((image,) * 3, -1)
        return image

    def load_mask(self, image_id):
        info = self.image_info[image_id]
        annotations = info["annotations"]
        count = len(annotations)
        if count == 0:
            mask = np.zeros((info["orig_height"], info["orig_width"], 1), dtype=np.uint8)
            class_ids = np.zeros((1,), dtype=np.int32)
        else:
            mask = np.zeros((info["orig_height"], info["orig_width"], count), dtype=np.uint8)
            class_ids = np.zeros((count,), dtype=np.int32)
            for i, a in enumerate(annotations):
                mask[a["y"] : a["y"] + a["h"], a["x"] : a["x"] + a["w"], i] = 255
                class_ids[i] = 1
        return mask.astype(np.bool), class_ids.astype(np.int32)


image_fps = ["{}.dcm".format(i) for i in range(8)]
box = {"y": 20, "x": 10, "h": 40, "w": 30}
image_annotations = {fp: [] if i % 2 else [box] for i, fp in enumerate(image_fps)}
random.seed(42)
image_fps_val, image_fps_train = image_fps[:2], image_fps[2:]

config = DetectorConfig()
config.display()
dataset_train = DetectorDataset(image_fps_train, image_annotations, ORIG_SIZE, ORIG_SIZE)
dataset_train.prepare()
dataset_val = DetectorDataset(image_fps_val, image_annotations, ORIG_SIZE, ORIG_SIZE)
dataset_val.prepare()
assert len(dataset_train.image_ids) == 6

model = modellib.MaskRCNN(mode="training", config=config, model_dir=os.path.join(ROOT_DIR, "working"))
model.load_weights(
    "mask_rcnn_coco.h5", by_name=True, exclude=["mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_bbox", "mrcnn_mask"]
)
augmentation = iaa.Sequential(
    [
        iaa.OneOf([iaa.Affine(scale={"x": (0.98, 1.02), "y": (0.98, 1.04)}), iaa.Affine(rotate=(-2, 2))]),
        iaa.Fliplr(0.5),
        iaa.OneOf([iaa.GaussianBlur(sigma=(0.0, 0.1)), iaa.Sharpen(alpha=(0.0, 0.1))]),
    ]
)
model.train(dataset_train, dataset_val, learning_rate=0.001, epochs=1, layers="heads", augmentation=None)
history = model.keras_model.history.history
model.train(dataset_train, dataset_val, learning_rate=0.0005, epochs=4, layers="all", augmentation=augmentation)
new_history = model.keras_model.history.history
for k in new_history:
    history[k] = history[k] + new_history[k]
epochs = range(1, len(next(iter(history.values()))) + 1)
table = np.array([history[k] for k in history])  # as a data frame would, requires one value per epoch for each metric
plt.figure(figsize=(17, 5))
plt.subplot(131)
plt.plot(epochs, history["loss"], label="Train loss")
plt.plot(epochs, history["val_loss"], label="Valid loss")
plt.subplot(132)
plt.plot(epochs, history["val_mrcnn_class_loss"], label="Valid class ce")
plt.legend()
plt.show()
best_epoch = np.argmin(history["val_loss"])

dir_names = next(os.walk(model.model_dir))[1]
dir_names = sorted(filter(lambda f: f.startswith(config.NAME.lower()), dir_names))
fps = []
for d in dir_names:
    dir_name = os.path.join(model.model_dir, d)
    checkpoints = sorted(filter(lambda f: f.startswith("mask_rcnn"), next(os.walk(dir_name))[2]))
    if checkpoints:
        fps.append(os.path.join(dir_name, checkpoints[best_epoch]))
model_path = sorted(fps)[-1]


class InferenceConfig(DetectorConfig):
    GPU_COUNT = 1
    IMAGES_PER_GPU = 1


inference_config = InferenceConfig()
model = modellib.MaskRCNN(mode="inference", config=inference_config, model_dir=ROOT_DIR)
assert model_path != "", "Provide path to trained weights"
model.load_weights(model_path, by_name=True)


def get_colors_for_class_ids(class_ids):
    return [(0.941, 0.204, 0.204) for class_id in class_ids if class_id == 1]


fig = plt.figure(figsize=(10, 30))
for i, image_id in enumerate(dataset_val.image_ids):
    original_image, image_meta, gt_class_id, gt_bbox, gt_mask = modellib.load_image_gt(
        dataset_val, inference_config, image_id, use_mini_mask=False
    )
    log("gt_mask", gt_mask)
    plt.subplot(6, 2, 2 * i + 1)
    visualize.display_instances(
        original_image,
        gt_bbox,
        gt_mask,
        gt_class_id,
        dataset_val.class_names,
        colors=get_colors_for_class_ids(gt_class_id),
        ax=fig.axes[-1],
    )
    plt.subplot(6, 2, 2 * i + 2)
    r = model.detect([original_image])[0]
    visualize.display_instances(
        original_image,
        r["rois"],
        r["masks"],
        r["class_ids"],
        dataset_val.class_names,
        r["scores"],
        colors=get_colors_for_class_ids(r["class_ids"]),
        ax=fig.axes[-1],
    )

submission = []
resize_factor = ORIG_SIZE / config.IMAGE_SHAPE[0]
for image_id in dataset_val.image_ids:
    image = dataset_val.load_image(image_id)
    image, window, scale, padding, crop = utils.resize_image(
        image,
        min_dim=config.IMAGE_MIN_DIM,
        min_scale=config.IMAGE_MIN_SCALE,
        max_dim=config.IMAGE_MAX_DIM,
        mode=config.IMAGE_RESIZE_MODE,
    )
    r = model.detect([image])[0]
    assert len(r["rois"]) == len(r["class_ids"]) == len(r["scores"])
    line = str(image_id)
    for roi, score in zip(r["rois"], r["scores"]):
        x1, y1 = roi[1], roi[0]
        line += " {} {} {} {} {}".format(
            round(score, 2),
            x1 * resize_factor,
            y1 * resize_factor,
            (roi[3] - x1) * resize_factor,
            (roi[2] - y1) * resize_factor,
        )
    submission.append(line)
