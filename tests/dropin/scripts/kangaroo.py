"""Modelled on kangaroo tutorials: boxes from Pascal VOC XML files as masks, mAP on both subsets, figures."""

from os import listdir
from xml.etree import ElementTree

from matplotlib import pyplot
from matplotlib.patches import Rectangle
from mrcnn.config import Config
from mrcnn.model import MaskRCNN, load_image_gt, mold_image
from mrcnn.utils import Dataset, compute_ap, extract_bboxes
from mrcnn.visualize import display_instances
from numpy import asarray, expand_dims, mean, zeros


class KangarooDataset(Dataset):
    def load_dataset(self, dataset_dir, is_train=True):
        self.add_class("dataset", 1, "kangaroo")
        for filename in sorted(listdir(dataset_dir + "/images/")):
            image_id = filename[:-4]
            if is_train == (int(image_id) < 4):
                annotation = dataset_dir + "/annots/" + image_id + ".xml"
                self.add_image(
                    "dataset", image_id=image_id, path=dataset_dir + "/images/" + filename, annotation=annotation
                )

    def extract_boxes(self, filename):
        root = ElementTree.parse(filename).getroot()
        sides = ("xmin", "ymin", "xmax", "ymax")
        boxes = [[int(box.find(side).text) for side in sides] for box in root.findall(".//bndbox")]
        return boxes, int(root.find(".//size/width").text), int(root.find(".//size/height").text)

    def load_mask(self, image_id):
        boxes, w, h = self.extract_boxes(self.image_info[image_id]["annotation"])
        masks = zeros([h, w, len(boxes)], dtype="uint8")
        class_ids = list()
        for i, (x1, y1, x2, y2) in enumerate(boxes):
            masks[y1:y2, x1:x2, i] = 1
            class_ids.append(self.class_names.index("kangaroo"))
        return masks, asarray(class_ids, dtype="int32")

    def image_reference(self, image_id):
        return self.image_info[image_id]["path"]


class KangarooConfig(Config):
    NAME = "kangaroo_cfg"
    NUM_CLASSES = 1 + 1
    STEPS_PER_EPOCH = 2


class PredictionConfig(Config):
    NAME = "kangaroo_cfg"
    NUM_CLASSES = 1 + 1
    GPU_COUNT = 1
    IMAGES_PER_GPU = 1


def evaluate_model(dataset, model, cfg):
    APs = list()
    for image_id in dataset.image_ids:
        image, image_meta, gt_class_id, gt_bbox, gt_mask = load_image_gt(dataset, cfg, image_id, use_mini_mask=False)
        scaled_image = mold_image(image, cfg)
        sample = expand_dims(scaled_image, 0)
        r = model.detect(sample, verbose=0)[0]
        AP, _, _, _ = compute_ap(gt_bbox, gt_class_id, gt_mask, r["rois"], r["class_ids"], r["scores"], r["masks"])
        APs.append(AP)
    return mean(APs)


def plot_actual_vs_predicted(dataset, model, cfg, n_images=2):
    for i in range(n_images):
        image = dataset.load_image(i)
        mask, _ = dataset.load_mask(i)
        yhat = model.detect(expand_dims(mold_image(image, cfg), 0), verbose=0)[0]
        pyplot.subplot(n_images, 2, i * 2 + 1)
        pyplot.imshow(image)
        for j in range(mask.shape[2]):
            pyplot.imshow(mask[:, :, j], cmap="gray", alpha=0.3)
        pyplot.subplot(n_images, 2, i * 2 + 2)
        pyplot.imshow(image)
        for y1, x1, y2, x2 in yhat["rois"]:
            pyplot.gca().add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color="red"))
    pyplot.show()


train_set = KangarooDataset()
train_set.load_dataset("kangaroo", is_train=True)
train_set.prepare()
print("Train: %d" % len(train_set.image_ids))
test_set = KangarooDataset()
test_set.load_dataset("kangaroo", is_train=False)
test_set.prepare()
print("Test: %d" % len(test_set.image_ids))

image = train_set.load_image(0)
mask, class_ids = train_set.load_mask(0)
display_instances(image, extract_bboxes(mask), mask, class_ids, train_set.class_names)

config = KangarooConfig()
config.display()
model = MaskRCNN(mode="training", model_dir="./", config=config)
model.keras_model.metrics_tensors = []  # a workaround for Keras 2.3 in many copies of the tutorial
model.load_weights(
    "mask_rcnn_coco.h5", by_name=True, exclude=["mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_bbox", "mrcnn_mask"]
)
model.train(train_set, test_set, learning_rate=config.LEARNING_RATE, epochs=1, layers="heads")

cfg = PredictionConfig()
model = MaskRCNN(mode="inference", model_dir="./", config=cfg)
model.load_weights(model.find_last(), by_name=True)
train_mAP = evaluate_model(train_set, model, cfg)
print("Train mAP: %.3f" % train_mAP)
test_mAP = evaluate_model(test_set, model, cfg)
print("Test mAP: %.3f" % test_mAP)
plot_actual_vs_predicted(test_set, model, cfg)
