"""Modelled on balloon.py: trains on polygons of the VGG Image Annotator and applies a color splash to the detections.

python balloon.py train --dataset=DIR --weights=coco
python balloon.py splash --weights=last --image=FILE
"""

import argparse
import json
import os
import sys

import numpy as np
import skimage.draw

ROOT_DIR = os.path.abspath("../../")
sys.path.append(ROOT_DIR)
from mrcnn import model as modellib
from mrcnn import utils
from mrcnn.config import Config

COCO_WEIGHTS_PATH = os.path.join(ROOT_DIR, "mask_rcnn_coco.h5")
DEFAULT_LOGS_DIR = os.path.join(ROOT_DIR, "logs")


class BalloonConfig(Config):
    NAME = "balloon"
    IMAGES_PER_GPU = 2
    NUM_CLASSES = 1 + 1
    STEPS_PER_EPOCH = 2
    DETECTION_MIN_CONFIDENCE = 0.3


class BalloonDataset(utils.Dataset):
    def load_balloon(self, dataset_dir, subset):
        self.add_class("balloon", 1, "balloon")
        folder = os.path.join(dataset_dir, subset)
        with open(os.path.join(folder, "via_region_data.json")) as file:
            annotations = [a for a in json.load(file).values() if a["regions"]]
        for a in annotations:
            regions = a["regions"].values() if isinstance(a["regions"], dict) else a["regions"]  # VIA 1, VIA 2
            path = os.path.join(folder, a["filename"])
            height, width = skimage.io.imread(path).shape[:2]
            polygons = [region["shape_attributes"] for region in regions]
            self.add_image("balloon", a["filename"], path=path, width=width, height=height, polygons=polygons)

    def load_mask(self, image_id):
        info = self.image_info[image_id]
        if info["source"] != "balloon":
            return super(self.__class__, self).load_mask(image_id)
        mask = np.zeros([info["height"], info["width"], len(info["polygons"])], dtype=np.uint8)
        for i, points in enumerate(info["polygons"]):
            rows, cols = skimage.draw.polygon(points["all_points_y"], points["all_points_x"])
            mask[rows, cols, i] = 1
        return mask.astype(np.bool), np.ones([mask.shape[-1]], dtype=np.int32)

    def image_reference(self, image_id):
        info = self.image_info[image_id]
        if info["source"] != "balloon":
            return super(self.__class__, self).image_reference(image_id)
        return info["path"]


def load(dataset_dir, subset):
    dataset = BalloonDataset()
    dataset.load_balloon(dataset_dir, subset)
    dataset.prepare()
    return dataset


def color_splash(image, mask):
    gray = (skimage.color.gray2rgb(skimage.color.rgb2gray(image)) * 255).astype(np.uint8)
    return np.where(mask.any(axis=-1, keepdims=True), image, gray)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["train", "splash"])
    parser.add_argument("--dataset")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--logs", default=DEFAULT_LOGS_DIR)
    parser.add_argument("--image")
    args = parser.parse_args()

    config, mode = BalloonConfig(), "training"
    if args.command == "splash":

        class InferenceConfig(BalloonConfig):
            GPU_COUNT = 1
            IMAGES_PER_GPU = 1

        config, mode = InferenceConfig(), "inference"
    config.display()
    model = modellib.MaskRCNN(mode=mode, config=config, model_dir=args.logs)

    exclude = None
    if args.weights == "coco":
        weights_path = COCO_WEIGHTS_PATH
        exclude = ["mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_bbox", "mrcnn_mask"]
    elif args.weights == "last":
        weights_path = model.find_last()
    elif args.weights == "imagenet":
        weights_path = model.get_imagenet_weights()
    else:
        weights_path = args.weights
    model.load_weights(weights_path, by_name=True, exclude=exclude)

    if args.command == "train":
        train_set, val_set = load(args.dataset, "train"), load(args.dataset, "val")
        model.train(train_set, val_set, learning_rate=config.LEARNING_RATE, epochs=1, layers="heads")
    else:
        image = skimage.io.imread(args.image)
        r = model.detect([image], verbose=1)[0]
        skimage.io.imsave("splash.png", color_splash(image, r["masks"]))
