"""Modelled on nucleus.py: one PNG file per mask, random crops, imgaug augmentation, figures and a CSV file.

python nucleus.py train --dataset=DIR --subset=train --weights=imagenet
python nucleus.py detect --dataset=DIR --subset=val --weights=last
"""

if __name__ == "__main__":
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

import argparse
import os
import sys

import numpy as np
import skimage.io
from imgaug import augmenters as iaa

ROOT_DIR = os.path.abspath("../../")
sys.path.append(ROOT_DIR)
from mrcnn import model as modellib
from mrcnn import utils, visualize
from mrcnn.config import Config

RESULTS_DIR = os.path.join(ROOT_DIR, "results/nucleus/")
VAL_IMAGE_IDS = ["cell0", "cell1"]


class NucleusConfig(Config):
    NAME = "nucleus"
    IMAGES_PER_GPU = 2
    NUM_CLASSES = 1 + 1
    STEPS_PER_EPOCH = (6 - len(VAL_IMAGE_IDS)) // IMAGES_PER_GPU
    VALIDATION_STEPS = max(1, len(VAL_IMAGE_IDS) // IMAGES_PER_GPU)
    DETECTION_MIN_CONFIDENCE = 0
    BACKBONE = "mobilenet_v2"
    IMAGE_RESIZE_MODE = "crop"
    IMAGE_MIN_DIM = 64
    IMAGE_MAX_DIM = 64
    IMAGE_MIN_SCALE = 2.0
    POST_NMS_ROIS_TRAINING = 50
    POST_NMS_ROIS_INFERENCE = 60
    RPN_NMS_THRESHOLD = 0.9
    RPN_TRAIN_ANCHORS_PER_IMAGE = 64
    MEAN_PIXEL = np.array([43.53, 39.56, 48.22])
    MINI_MASK_SHAPE = (56, 56)
    TRAIN_ROIS_PER_IMAGE = 16
    MAX_GT_INSTANCES = 20
    DETECTION_MAX_INSTANCES = 30


class NucleusInferenceConfig(NucleusConfig):
    GPU_COUNT = 1
    IMAGES_PER_GPU = 1
    IMAGE_RESIZE_MODE = "pad64"
    RPN_NMS_THRESHOLD = 0.7


class NucleusDataset(utils.Dataset):
    def load_nucleus(self, dataset_dir, subset):
        self.add_class("nucleus", 1, "nucleus")
        image_ids = VAL_IMAGE_IDS if subset == "val" else sorted(set(os.listdir(dataset_dir)) - set(VAL_IMAGE_IDS))
        for image_id in image_ids:
            self.add_image("nucleus", image_id, os.path.join(dataset_dir, image_id, f"images/{image_id}.png"))

    def load_mask(self, image_id):
        folder = os.path.dirname(os.path.dirname(self.image_info[image_id]["path"]))
        files = [os.path.join(folder, "masks", name) for name in os.listdir(os.path.join(folder, "masks"))]
        mask = np.stack([skimage.io.imread(file).astype(np.bool) for file in files], axis=-1)
        return mask, np.ones([mask.shape[-1]], dtype=np.int32)

    def image_reference(self, image_id):
        return self.image_info[image_id]["id"]


def load(dataset_dir, subset):
    dataset = NucleusDataset()
    dataset.load_nucleus(dataset_dir, subset)
    dataset.prepare()
    return dataset


def train(model, dataset_dir, subset):
    turns = iaa.OneOf([iaa.Affine(rotate=90), iaa.Affine(rotate=180), iaa.Affine(rotate=270)])
    colors = [iaa.Multiply((0.8, 1.5)), iaa.GaussianBlur(sigma=(0.0, 5.0))]
    augmentation = iaa.SomeOf((0, 2), [iaa.Fliplr(0.5), iaa.Flipud(0.5), turns, *colors])
    model.train(
        load(dataset_dir, subset),
        load(dataset_dir, "val"),
        learning_rate=config.LEARNING_RATE,
        epochs=1,
        augmentation=augmentation,
        layers="heads",
    )


def detect(model, dataset_dir, subset):
    os.makedirs(RESULTS_DIR)
    dataset = load(dataset_dir, subset)
    lines = ["ImageId,Pixels"]
    for image_id in dataset.image_ids:
        image = dataset.load_image(image_id)
        r = model.detect([image], verbose=0)[0]
        name = dataset.image_info[image_id]["id"]
        order = np.argsort(r["scores"])[::-1] + 1
        covered = np.max(r["masks"] * np.reshape(order, [1, 1, -1]), -1, initial=0)
        lines.append(f"{name},{np.count_nonzero(covered)}")
        visualize.display_instances(
            image,
            r["rois"],
            r["masks"],
            r["class_ids"],
            dataset.class_names,
            r["scores"],
            show_bbox=False,
            show_mask=False,
            title="Predictions",
        )
        plt.savefig(f"{RESULTS_DIR}/{name}.png")
    with open(os.path.join(RESULTS_DIR, "submit.csv"), "w") as file:
        file.write("\n".join(lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["train", "detect"])
    parser.add_argument("--dataset")
    parser.add_argument("--subset")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--logs", default=os.path.join(ROOT_DIR, "logs"))
    args = parser.parse_args()

    config = NucleusConfig() if args.command == "train" else NucleusInferenceConfig()
    config.display()
    mode = "training" if args.command == "train" else "inference"
    model = modellib.MaskRCNN(mode=mode, config=config, model_dir=args.logs)
    weights_path = model.get_imagenet_weights() if args.weights == "imagenet" else model.find_last()
    model.load_weights(weights_path, by_name=True)
    {"train": train, "detect": detect}[args.command](model, args.dataset, args.subset)
