"""Modelled on the notebooks inspect_model: inspects each stage of detection with run_graph and ancestor."""

import os
import random
import sys

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

ROOT_DIR = os.path.abspath("../../")
sys.path.append(ROOT_DIR)
sys.path.append(os.getcwd())
import balloon
import mrcnn.model as modellib
from mrcnn import utils, visualize
from mrcnn.model import log
from mrcnn.visualize import display_images

MODEL_DIR = os.path.join(ROOT_DIR, "logs")
config = balloon.BalloonConfig()


class InferenceConfig(config.__class__):
    GPU_COUNT = 1
    IMAGES_PER_GPU = 1
    BACKBONE = "resnet50"
    DETECTION_MIN_CONFIDENCE = 0.0


config = InferenceConfig()
config.display()


def get_ax(rows=1, cols=1, size=4):
    _, ax = plt.subplots(rows, cols, figsize=(size * cols, size * rows))
    return ax


dataset = balloon.load(os.path.join(ROOT_DIR, "dataset"), "val")
print(f"Images: {len(dataset.image_ids)}\nClasses: {dataset.class_names}")
with tf.device("/cpu:0"):
    model = modellib.MaskRCNN(mode="inference", model_dir=MODEL_DIR, config=config)

# Detection, AP, differences
image_id = random.choice(dataset.image_ids)
image, image_meta, gt_class_id, gt_bbox, gt_mask = modellib.load_image_gt(
    dataset, config, image_id, use_mini_mask=False
)
info = dataset.image_info[image_id]
print("image ID: {}.{} ({}) {}".format(info["source"], info["id"], image_id, dataset.image_reference(image_id)))
shapes = modellib.parse_image_meta(image_meta[np.newaxis, ...])["original_image_shape"][0]
results = model.detect([image], verbose=1)
results = model.detect_molded(np.expand_dims(modellib.mold_image(image, config), 0), image_meta[np.newaxis], verbose=1)
r = results[0]
names = dataset.class_names
visualize.display_instances(
    image, r["rois"], r["masks"], r["class_ids"], names, r["scores"], ax=get_ax(1), title="Predictions"
)
splash = balloon.color_splash(image, r["masks"])
display_images([splash], cols=1)
found = r["rois"], r["class_ids"], r["scores"], r["masks"]
AP, precisions, recalls, overlaps = utils.compute_ap(gt_bbox, gt_class_id, gt_mask, *found)
AP_range = utils.compute_ap_range(gt_bbox, gt_class_id, gt_mask, *found, verbose=1)
visualize.plot_precision_recall(AP, precisions, recalls)
visualize.plot_overlaps(gt_class_id, r["class_ids"], r["scores"], overlaps, names)
visualize.display_differences(
    image, gt_bbox, gt_class_id, gt_mask, *found, names, ax=get_ax(), iou_threshold=0.5, score_threshold=0.5
)

# RPN targets, with the anchors of the latest detection
target_rpn_match, target_rpn_bbox = modellib.build_rpn_targets(
    image.shape, model.anchors, gt_class_id, gt_bbox, model.config
)
log("target_rpn_match", target_rpn_match)
positive_anchors = model.anchors[np.where(target_rpn_match[:] == 1)[0]]
negative_anchors = model.anchors[np.where(target_rpn_match[:] == -1)[0]]
refined_anchors = utils.apply_box_deltas(
    positive_anchors, target_rpn_bbox[: positive_anchors.shape[0]] * model.config.RPN_BBOX_STD_DEV
)
visualize.draw_boxes(image, boxes=positive_anchors, refined_boxes=refined_anchors, ax=get_ax())

# Proposals
pillar = model.keras_model.get_layer("ROI").output
nms_node = model.ancestor(pillar, "ROI/rpn_non_max_suppression:0")
if nms_node is None:
    nms_node = model.ancestor(pillar, "ROI/rpn_non_max_suppression/NonMaxSuppressionV2:0")
rpn = model.run_graph(
    np.expand_dims(modellib.mold_image(image, config), 0),
    [
        ("rpn_class", model.keras_model.get_layer("rpn_class").output),
        ("pre_nms_anchors", model.ancestor(pillar, "ROI/pre_nms_anchors:0")),
        ("refined_anchors", model.ancestor(pillar, "ROI/refined_anchors:0")),
        ("refined_anchors_clipped", model.ancestor(pillar, "ROI/refined_anchors_clipped:0")),
        ("post_nms_anchor_ix", nms_node),
        ("proposals", model.keras_model.get_layer("ROI").output),
    ],
    image_metas=np.expand_dims(image_meta, 0),
)
limit = 10
sorted_anchor_ids = np.argsort(rpn["rpn_class"][:, :, 1].flatten())[::-1]
visualize.draw_boxes(image, boxes=model.anchors[sorted_anchor_ids[:limit]], ax=get_ax())
ax = get_ax(1, 2)
pre_nms_anchors, refined_anchors, refined_anchors_clipped = (
    utils.denorm_boxes(rpn[name][0], image.shape[:2])
    for name in ("pre_nms_anchors", "refined_anchors", "refined_anchors_clipped")
)
visualize.draw_boxes(image, boxes=pre_nms_anchors[:limit], refined_boxes=refined_anchors[:limit], ax=ax[0])
visualize.draw_boxes(image, refined_boxes=refined_anchors_clipped[:limit], ax=ax[1])
ixs = rpn["post_nms_anchor_ix"][:limit]
visualize.draw_boxes(image, refined_boxes=refined_anchors_clipped[ixs], ax=get_ax())

# Heads
mrcnn = model.run_graph(
    [image],
    [
        ("proposals", model.keras_model.get_layer("ROI").output),
        ("probs", model.keras_model.get_layer("mrcnn_class").output),
        ("deltas", model.keras_model.get_layer("mrcnn_bbox").output),
        ("masks", model.keras_model.get_layer("mrcnn_mask").output),
        ("detections", model.keras_model.get_layer("mrcnn_detection").output),
    ],
)
det_class_ids = mrcnn["detections"][0, :, 4].astype(np.int32)
det_count = np.where(np.append(det_class_ids, 0) == 0)[0][0]
det_class_ids = det_class_ids[:det_count]
detections = mrcnn["detections"][0, :det_count]
captions = [f"{names[int(c)]} {s:.3f}" if c > 0 else "" for c, s in zip(detections[:, 4], detections[:, 5])]
visualize.draw_boxes(
    image,
    refined_boxes=utils.denorm_boxes(detections[:, :4], image.shape[:2]),
    visibilities=[2] * len(detections),
    captions=captions,
    title="Detections",
    ax=get_ax(),
)
h, w = config.IMAGE_SHAPE[:2]
proposals = np.around(mrcnn["proposals"][0] * np.array([h, w, h, w])).astype(np.int32)
roi_class_ids = np.argmax(mrcnn["probs"][0], axis=1)
roi_scores = mrcnn["probs"][0, np.arange(roi_class_ids.shape[0]), roi_class_ids]
roi_positive_ixs = np.where(roi_class_ids > 0)[0]
roi_bbox_specific = mrcnn["deltas"][0, np.arange(proposals.shape[0]), roi_class_ids]
log("roi_bbox_specific", roi_bbox_specific)
refined_proposals = utils.apply_box_deltas(proposals, roi_bbox_specific * config.BBOX_STD_DEV).astype(np.int32)
keep = utils.non_max_suppression(refined_proposals, roi_scores, config.DETECTION_NMS_THRESHOLD)
ids = np.random.randint(0, len(proposals), limit)
visualize.draw_boxes(
    image,
    boxes=proposals[ids],
    refined_boxes=refined_proposals[ids],
    visibilities=np.where(roi_class_ids[ids] > 0, 1, 0),
    captions=[f"{names[c]} {score:.3f}" for c, score in zip(roi_class_ids[ids], roi_scores[ids])],
    ax=get_ax(),
)

# Masks
det_boxes = utils.denorm_boxes(mrcnn["detections"][0, :, :4], image.shape[:2])
det_mask_specific = np.array([mrcnn["masks"][0, i, :, :, c] for i, c in enumerate(det_class_ids)])
det_masks = np.array([utils.unmold_mask(m, det_boxes[i], image.shape) for i, m in enumerate(det_mask_specific)])
log("det_mask_specific", det_mask_specific)
display_images(det_mask_specific[:4] * 255, cmap="Blues", interpolation="none")
display_images(det_masks[:4] * 255, cmap="Blues", interpolation="none")

# Activations
activations = model.run_graph(
    [image],
    [
        ("input_image", tf.identity(model.keras_model.get_layer("input_image").output)),
        ("res2c_out", model.keras_model.get_layer("res2c_out").output),
        ("res4f_out", model.keras_model.get_layer("res4f_out").output),
        ("fpn_p2", model.keras_model.get_layer("fpn_p2").output),
        ("rpn_bbox", model.keras_model.get_layer("rpn_bbox").output),
        ("roi", model.keras_model.get_layer("ROI").output),
    ],
)
plt.imshow(modellib.unmold_image(activations["input_image"][0], config))
display_images(np.transpose(activations["res2c_out"][0, :, :, :4], [2, 0, 1]), cols=4)
plt.hist(activations["rpn_bbox"][0, :, 0], 50)
