"""Modelled on the notebook demo: runs the COCO model on an image of a folder."""

import os
import random
import sys

import matplotlib.pyplot as plt
import skimage.io

ROOT_DIR = os.path.abspath("../")
sys.path.append(ROOT_DIR)
import mrcnn.model as modellib
from mrcnn import utils, visualize

sys.path.append(os.path.join(ROOT_DIR, "samples/coco/"))
import coco

MODEL_DIR = os.path.join(ROOT_DIR, "logs")
COCO_MODEL_PATH = os.path.join(ROOT_DIR, "mask_rcnn_coco.h5")
if not os.path.exists(COCO_MODEL_PATH):
    utils.download_trained_weights(COCO_MODEL_PATH)
IMAGE_DIR = os.path.join(ROOT_DIR, "images")


class InferenceConfig(coco.CocoConfig):
    GPU_COUNT = 1
    IMAGES_PER_GPU = 1


config = InferenceConfig()
config.display()
model = modellib.MaskRCNN(mode="inference", model_dir=MODEL_DIR, config=config)
model.load_weights(COCO_MODEL_PATH, by_name=True)
class_names = ["BG", "person", "bicycle"] + [f"thing {i}" for i in range(3, 81)]

file_names = next(os.walk(IMAGE_DIR))[2]
image = skimage.io.imread(os.path.join(IMAGE_DIR, random.choice(file_names)))
results = model.detect([image], verbose=1)
r = results[0]
visualize.display_instances(image, r["rois"], r["masks"], r["class_ids"], class_names, r["scores"])
plt.savefig("demo.png")
