"""Modelled on the notebook inspect_weights: statistics and histograms of the weights of a trained model."""

import os
import sys

import keras
import matplotlib.pyplot as plt
import tensorflow as tf

ROOT_DIR = os.path.abspath("../../")
sys.path.append(ROOT_DIR)
sys.path.append(os.getcwd())
import coco
import mrcnn.model as modellib
from mrcnn import visualize

print(keras.__version__)
config = coco.CocoConfig()
with tf.device("/cpu:0"):
    model = modellib.MaskRCNN(mode="inference", model_dir=os.path.join(ROOT_DIR, "logs"), config=config)
model.load_weights(os.path.join(ROOT_DIR, "mask_rcnn_coco.h5"), by_name=True)
visualize.display_weight_stats(model)

layers = [layer for layer in model.get_trainable_layers() if layer.__class__.__name__ in ("Conv2D", "Dense")]
fig, ax = plt.subplots(len(layers), 2, figsize=(10, len(layers)))
for row, layer in zip(ax, layers):
    for axis, values, tensor in zip(row, layer.get_weights(), layer.weights):
        axis.set_title(tensor.name)
        axis.hist(values.flatten(), 50)
