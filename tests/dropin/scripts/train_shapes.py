"""Modelled on the notebook train_shapes: generated shapes, training of heads and all layers, detection, mAP."""

import os
import random
import sys

import matplotlib.pyplot as plt
import numpy as np
import skimage.draw

ROOT_DIR = os.path.abspath("../../")
sys.path.append(ROOT_DIR)  # as in notebooks, to find a copy of the library that is not installed
import mrcnn.model as modellib
from mrcnn import utils, visualize
from mrcnn.config import Config
from mrcnn.model import log

MODEL_DIR = os.path.join(ROOT_DIR, "logs")
COCO_MODEL_PATH = os.path.join(ROOT_DIR, "mask_rcnn_coco.h5")
if not os.path.exists(COCO_MODEL_PATH):
    utils.download_trained_weights(COCO_MODEL_PATH)


class ShapesConfig(Config):
    NAME = "shapes"
    GPU_COUNT = 1
    IMAGES_PER_GPU = 2
    NUM_CLASSES = 1 + 2
    IMAGE_MIN_DIM = 64
    IMAGE_MAX_DIM = 64
    RPN_ANCHOR_SCALES = (8, 16, 32, 64, 128)
    TRAIN_ROIS_PER_IMAGE = 16
    STEPS_PER_EPOCH = 2
    VALIDATION_STEPS = 1


config = ShapesConfig()
config.display()


class ShapesDataset(utils.Dataset):
    def load_shapes(self, count, height, width):
        self.add_class("shapes", 1, "square")
        self.add_class("shapes", 2, "circle")
        for i in range(count):
            color, shapes = self.random_shapes(height, width)
            self.add_image("shapes", image_id=i, path=None, width=width, height=height, bg_color=color, shapes=shapes)

    def random_shapes(self, height, width):
        """Returns the background color and shapes (kind, color, (y, x, half side)) that do not cover each other."""
        colors = np.random.randint(0, 256, (4, 3))
        places = [(random.randint(14, height - 14), random.randint(14, width - 14), random.randint(8, 14))] * 3
        boxes = np.array([(y - s, x - s, y + s, x + s) for y, x, s in places])
        keep_ixs = utils.non_max_suppression(boxes, np.arange(len(boxes)), 0.3)
        return colors[0], [(random.choice(["square", "circle"]), colors[i + 1], places[i]) for i in keep_ixs]

    def stencil(self, info, shape):
        kind, _, (y, x, s) = shape
        mask = np.zeros((info["height"], info["width"]), np.uint8)
        if kind == "circle":
            mask[skimage.draw.disk((y, x), s, shape=mask.shape)] = 1
        else:
            mask[y - s : y + s, x - s : x + s] = 1
        return mask

    def load_image(self, image_id):
        info = self.image_info[image_id]
        image = np.full([info["height"], info["width"], 3], info["bg_color"], dtype=np.uint8)
        for shape in info["shapes"]:
            image[self.stencil(info, shape) > 0] = shape[1]
        return image

    def load_mask(self, image_id):
        info = self.image_info[image_id]
        mask = np.stack([self.stencil(info, shape) for shape in info["shapes"]], axis=-1)
        class_ids = np.array([self.class_names.index(shape[0]) for shape in info["shapes"]])
        return mask.astype(np.bool), class_ids.astype(np.int32)

    def image_reference(self, image_id):
        info = self.image_info[image_id]
        if info["source"] == "shapes":
            return info["shapes"]
        super(self.__class__).image_reference(self, image_id)


dataset_train = ShapesDataset()
dataset_train.load_shapes(6, config.IMAGE_SHAPE[0], config.IMAGE_SHAPE[1])
dataset_train.prepare()
dataset_val = ShapesDataset()
dataset_val.load_shapes(3, config.IMAGE_SHAPE[0], config.IMAGE_SHAPE[1])
dataset_val.prepare()

for image_id in np.random.choice(dataset_train.image_ids, 2):
    image = dataset_train.load_image(image_id)
    mask, class_ids = dataset_train.load_mask(image_id)
    visualize.display_top_masks(image, mask, class_ids, dataset_train.class_names)

model = modellib.MaskRCNN(mode="training", config=config, model_dir=MODEL_DIR)
model.load_weights(
    COCO_MODEL_PATH, by_name=True, exclude=["mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_bbox", "mrcnn_mask"]
)
model.train(dataset_train, dataset_val, learning_rate=config.LEARNING_RATE, epochs=1, layers="heads")
model.train(dataset_train, dataset_val, learning_rate=config.LEARNING_RATE / 10, epochs=2, layers="all")
model_path = os.path.join(MODEL_DIR, "mask_rcnn_shapes.h5")
model.keras_model.save_weights(model_path)
history = model.keras_model.history.history


class InferenceConfig(ShapesConfig):
    GPU_COUNT = 1
    IMAGES_PER_GPU = 1
    DETECTION_MIN_CONFIDENCE = 0.0


inference_config = InferenceConfig()
model = modellib.MaskRCNN(mode="inference", config=inference_config, model_dir=MODEL_DIR)
last_path = model.find_last()
model.load_weights(model_path, by_name=True)

APs = []
for image_id in np.random.choice(dataset_val.image_ids, 2):
    image, image_meta, gt_class_id, gt_bbox, gt_mask = modellib.load_image_gt(
        dataset_val, inference_config, image_id, use_mini_mask=False
    )
    log("original_image", image)
    log("image_meta", image_meta)
    log("gt_class_id", gt_class_id)
    log("gt_bbox", gt_bbox)
    log("gt_mask", gt_mask)
    molded_images = np.expand_dims(modellib.mold_image(image, inference_config), 0)
    r = model.detect([image], verbose=1)[0]
    AP, precisions, recalls, overlaps = utils.compute_ap(
        gt_bbox, gt_class_id, gt_mask, r["rois"], r["class_ids"], r["scores"], r["masks"]
    )
    APs.append(AP)
print("mAP: ", np.mean(APs))

names = dataset_val.class_names
visualize.display_instances(image, gt_bbox, gt_mask, gt_class_id, names, figsize=(8, 8))
_, ax = plt.subplots(1, 1, figsize=(8, 8))
visualize.display_instances(image, r["rois"], r["masks"], r["class_ids"], names, r["scores"], ax=ax)
