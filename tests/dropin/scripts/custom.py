"""Modelled on custom.py scripts: classes from VIA region attributes, additional settings, callbacks, warm restarts."""

import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import skimage.draw
import skimage.io
import tensorflow as tf
from keras.callbacks import EarlyStopping, ReduceLROnPlateau

ROOT_DIR = os.getcwd()
sys.path.append(ROOT_DIR)
from mrcnn import model as modellib
from mrcnn import utils, visualize
from mrcnn.config import Config
from mrcnn.model import MaskRCNN
from mrcnn.visualize import apply_mask, display_instances, random_colors

CLASSES = {"dent": 1, "scratch": 2}


class CustomConfig(Config):
    NAME = "damage"
    IMAGES_PER_GPU = 1
    NUM_CLASSES = 1 + len(CLASSES)
    STEPS_PER_EPOCH = 4 / 2  # a float, as the result of a division
    VALIDATION_STEPS = 2 / 2
    USE_MINI_MASK = False
    # Settings that are unknown to the library.
    DATASET_DIR = Path("dataset")
    CLASS_THRESHOLD = 0.33
    COLORS = {"dent": (255, 0, 0)}


class CustomDataset(utils.Dataset):
    def load_custom(self, dataset_dir, subset):
        for name, class_id in CLASSES.items():
            self.add_class("object", class_id, name)
        folder = os.path.join(dataset_dir, subset)
        with open(os.path.join(folder, "via_region_data.json")) as file:
            annotations = [a for a in json.load(file).values() if a["regions"]]
        for a in annotations:
            polygons = [region["shape_attributes"] for region in a["regions"]]
            num_ids = [CLASSES[region["region_attributes"]["names"]] for region in a["regions"]]
            path = os.path.join(folder, a["filename"])
            height, width = skimage.io.imread(path).shape[:2]
            self.add_image(
                "object", a["filename"], path, width=width, height=height, polygons=polygons, num_ids=num_ids
            )

    def load_mask(self, image_id):
        info = self.image_info[image_id]
        mask = np.zeros([info["height"], info["width"], len(info["polygons"])])  # float64
        for i, points in enumerate(info["polygons"]):
            rr, cc = skimage.draw.polygon(points["all_points_y"], points["all_points_x"])
            mask[rr, cc, i] = 1
        return mask, info["num_ids"]  # a list


class Losses(tf.keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epochs = {}

    def on_epoch_end(self, epoch, logs=None):
        self.epochs[epoch] = dict(logs)


config = CustomConfig()
config.BATCH_SIZE = 1
print(config.to_dict() if hasattr(config, "to_dict") else config)
dataset_train, dataset_val = CustomDataset(), CustomDataset()
for dataset, subset in ((dataset_train, "train"), (dataset_val, "val")):
    dataset.load_custom(config.DATASET_DIR, subset)
    dataset.prepare()

model = MaskRCNN(mode="training", config=config, model_dir=os.path.join(ROOT_DIR, "logs"))
model.load_weights(filepath="mask_rcnn_coco.h5", by_name=True, exclude=r"mrcnn_(class_logits|bbox_fc|mask)")
model.set_trainable("mrcnn_.*")
losses = Losses()
custom_callbacks = [
    losses,
    EarlyStopping(monitor="val_loss", patience=5, restore_best_weights=True),
    ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=1, verbose=1),
    tf.keras.callbacks.CSVLogger("training.csv"),
    tf.keras.callbacks.ModelCheckpoint("best.weights.h5", save_weights_only=True),
]
model.train(
    dataset_train,
    dataset_val,
    learning_rate=0.001,
    epochs=1,
    layers=r"(mrcnn\_.*)|(rpn\_.*)",
    custom_callbacks=custom_callbacks,
)
lowest = min(model.keras_model.history.history["val_loss"])
model.keras_model.save_weights("final.h5")


class InferenceConfig(config.__class__):
    GPU_COUNT = 1
    IMAGES_PER_GPU = 1
    DETECTION_MIN_CONFIDENCE = 0.1


model = modellib.MaskRCNN("inference", InferenceConfig(), "logs")
model.keras_model.load_weights("final.h5", by_name=True)
image = cv2.cvtColor(cv2.imread(dataset_val.image_info[0]["path"]), cv2.COLOR_BGR2RGB)
r = model.detect([image])[0]
colors = random_colors(max(1, len(r["rois"])))
painted = image.copy()
for i in range(len(r["rois"])):
    painted = apply_mask(painted, r["masks"][:, :, i], colors[i])
    painted = visualize.draw_box(painted, r["rois"][i], [255, 0, 0])
captions = [f"{CLASSES} {score:.2f}" for score in r["scores"]]
display_instances(painted, r["rois"], r["masks"], r["class_ids"], ["BG", *CLASSES], colors=colors, captions=captions)
