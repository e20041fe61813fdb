"""Modelled on the notebooks inspect_data: draws the training data step by step."""

import os
import random
import sys
from collections import OrderedDict

import imgaug
import matplotlib.pyplot as plt
import numpy as np

ROOT_DIR = os.path.abspath("../../")
sys.path.append(ROOT_DIR)
sys.path.append(os.getcwd())
import balloon
import mrcnn.model as modellib
from mrcnn import utils, visualize
from mrcnn.model import log
from mrcnn.visualize import display_images

config = balloon.BalloonConfig()
dataset = balloon.load(os.path.join(ROOT_DIR, "dataset"), "train")
print(f"Image Count: {len(dataset.image_ids)}\nClass Count: {dataset.num_classes}")
for i, info in enumerate(dataset.class_info):
    print("{:3}. {:50}".format(i, info["name"]))

# Sample images and boxes
image_id = random.choice(dataset.image_ids)
image = dataset.load_image(image_id)
mask, class_ids = dataset.load_mask(image_id)
visualize.display_top_masks(image, mask, class_ids, dataset.class_names, limit=1)
bbox = utils.extract_bboxes(mask)
print("image_id ", image_id, dataset.image_reference(image_id))
log("image", image)
log("mask", mask)
log("class_ids", class_ids)
log("bbox", bbox)
visualize.display_instances(image, bbox, mask, class_ids, dataset.class_names)

# Resizing
original_shape = image.shape
image, window, scale, padding, _ = utils.resize_image(
    image, min_dim=config.IMAGE_MIN_DIM, max_dim=config.IMAGE_MAX_DIM, mode=config.IMAGE_RESIZE_MODE
)
mask = utils.resize_mask(mask, scale, padding)
bbox = utils.extract_bboxes(mask)
print("Original shape: ", original_shape)
visualize.display_instances(image, bbox, mask, class_ids, dataset.class_names)

# Mini masks and augmentation
image, image_meta, class_ids, bbox, mask = modellib.load_image_gt(dataset, config, image_id, use_mini_mask=False)
log("image_meta", image_meta)
display_images([image] + [mask[:, :, i] for i in range(min(mask.shape[-1], 7))])
augmentation = imgaug.augmenters.Sometimes(0.9, imgaug.augmenters.Fliplr(1.0))
for changes in ({"augment": True}, {"augmentation": augmentation}, {}):
    image, image_meta, class_ids, bbox, mask = modellib.load_image_gt(
        dataset, config, image_id, use_mini_mask=True, **changes
    )
    log("mask", mask)
    expanded = utils.expand_mask(bbox, mask, image.shape)
    visualize.display_instances(image, bbox, expanded, class_ids, dataset.class_names)
mini = utils.minimize_mask(bbox, expanded, config.MINI_MASK_SHAPE)

# Anchors
backbone_shapes = modellib.compute_backbone_shapes(config, config.IMAGE_SHAPE)
anchors = utils.generate_pyramid_anchors(
    config.RPN_ANCHOR_SCALES,
    config.RPN_ANCHOR_RATIOS,
    backbone_shapes,
    config.BACKBONE_STRIDES,
    config.RPN_ANCHOR_STRIDE,
)
num_levels = len(backbone_shapes)
anchors_per_cell = len(config.RPN_ANCHOR_RATIOS)
print("Count: ", anchors.shape[0])
print("Levels: ", num_levels, "Anchors per cell: ", anchors_per_cell)
anchors_per_level = [anchors_per_cell * shape[0] * shape[1] // config.RPN_ANCHOR_STRIDE**2 for shape in backbone_shapes]
_, ax = plt.subplots(1, figsize=(10, 10))
ax.imshow(image)

# The data generator
random_rois = 2000
g = modellib.data_generator(
    dataset, config, shuffle=True, random_rois=random_rois, batch_size=4, detection_targets=True
)
[
    [normalized_images, image_meta, rpn_match, rpn_bbox, gt_class_ids, gt_boxes, gt_masks, rpn_rois, rois],
    [mrcnn_class_ids, mrcnn_bbox, mrcnn_mask],
] = next(g)
log("rois", rois)
log("mrcnn_class_ids", mrcnn_class_ids)
log("mrcnn_bbox", mrcnn_bbox)
log("mrcnn_mask", mrcnn_mask)
for name in ("gt_class_ids", "gt_boxes", "gt_masks", "rpn_match", "rpn_bbox"):
    log(name, globals()[name])
image_id = modellib.parse_image_meta(image_meta)["image_id"][0]
print("image_id: ", image_id, dataset.image_reference(image_id))
mrcnn_class_ids = mrcnn_class_ids[:, :, 0]

b = 0
sample_image = modellib.unmold_image(normalized_images[b], config)
indices = np.where(rpn_match[b] == 1)[0]
refined_anchors = utils.apply_box_deltas(anchors[indices], rpn_bbox[b, : len(indices)] * config.RPN_BBOX_STD_DEV)
_, ax = plt.subplots(1, 1, figsize=(8, 8))
visualize.draw_boxes(sample_image, boxes=anchors[indices], refined_boxes=refined_anchors, ax=ax)
visualize.draw_boxes(sample_image, boxes=anchors[np.where(rpn_match[b] == -1)[0]])
visualize.draw_boxes(sample_image, boxes=anchors[np.random.choice(np.where(rpn_match[b] == 0)[0], 100)])

bbox_specific = mrcnn_bbox[b, np.arange(mrcnn_bbox.shape[1]), mrcnn_class_ids[b], :]
refined_rois = utils.apply_box_deltas(rois[b].astype(np.float32), bbox_specific[:, :4] * config.BBOX_STD_DEV)
mask_specific = mrcnn_mask[b, np.arange(mrcnn_mask.shape[1]), :, :, mrcnn_class_ids[b]]
visualize.draw_rois(sample_image, rois[b], refined_rois, mask_specific, mrcnn_class_ids[b], dataset.class_names)
rows = np.ascontiguousarray(rois[b]).view(np.dtype((np.void, rois.dtype.itemsize * rois.shape[-1])))
_, idx = np.unique(rows, return_index=True)
print(f"Unique ROIs: {len(idx)} out of {rois.shape[1]}")

images, titles = [], []
for i in random.sample(range(rois.shape[1]), 4):
    picture = visualize.draw_box(sample_image.copy(), rois[b, i, :4].astype(np.int32), [255, 0, 0])
    picture = visualize.draw_box(picture, refined_rois[i].astype(np.int64), [0, 255, 0])
    images += [picture, mask_specific[i] * 255]
    titles += [f"ROI {i}", dataset.class_names[mrcnn_class_ids[b, i]][:20]]
display_images(images, titles, cols=4, cmap="Blues", interpolation="none")

temp_g = modellib.data_generator(dataset, config, shuffle=True, random_rois=1000, batch_size=1, detection_targets=True)
positives = OrderedDict()
for i in range(2):
    _, [ids, _, _] = next(temp_g)
    positives[i] = np.mean(ids > 0)
[normalized_images, image_meta, rpn_match, rpn_bbox, gt_class_ids, gt_boxes, gt_masks], _ = next(
    modellib.data_generator(dataset, config)
)
