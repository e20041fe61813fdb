"""Modelled on coco.py: a pycocotools dataset with crowds, imgaug imported first, training in stages, COCO evaluation.

python coco.py train --dataset=DIR --model=coco
python coco.py evaluate --dataset=DIR --model=last
"""

import argparse
import os
import sys

import imgaug
import numpy as np
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

ROOT_DIR = os.path.abspath("../../")
sys.path.append(ROOT_DIR)
from mrcnn import model as modellib
from mrcnn import utils
from mrcnn.config import Config

COCO_MODEL_PATH = os.path.join(ROOT_DIR, "mask_rcnn_coco.h5")
DEFAULT_LOGS_DIR = os.path.join(ROOT_DIR, "logs")


class CocoConfig(Config):
    NAME = "coco"
    IMAGES_PER_GPU = 2
    NUM_CLASSES = 1 + 80


class CocoDataset(utils.Dataset):
    def load_coco(self, dataset_dir, subset, year="2017", return_coco=False):
        coco = COCO(f"{dataset_dir}/annotations/instances_{subset}{year}.json")
        class_ids = sorted(coco.getCatIds())
        for class_id in class_ids:
            self.add_class("coco", class_id, coco.loadCats(class_id)[0]["name"])
        for image_id, image in coco.imgs.items():
            annotation_ids = coco.getAnnIds(imgIds=[image_id], catIds=class_ids, iscrowd=None)
            self.add_image(
                "coco",
                image_id=image_id,
                path=os.path.join(dataset_dir, f"{subset}{year}", image["file_name"]),
                width=image["width"],
                height=image["height"],
                annotations=coco.loadAnns(annotation_ids),
            )
        if return_coco:
            return coco

    def load_mask(self, image_id):
        info = self.image_info[image_id]
        masks, class_ids = [], []
        for annotation in info["annotations"]:
            class_id = self.map_source_class_id("coco.{}".format(annotation["category_id"]))
            rle = annotation["segmentation"]
            rle = mask_utils.frPyObjects(rle, info["height"], info["width"])
            masks.append(mask_utils.decode(mask_utils.merge(rle) if isinstance(rle, list) else rle))
            class_ids.append(-class_id if annotation["iscrowd"] else class_id)
        if not masks:
            return super(CocoDataset, self).load_mask(image_id)
        return np.stack(masks, axis=2).astype(np.bool), np.array(class_ids, dtype=np.int32)

    def image_reference(self, image_id):
        return "coco photo {}".format(self.image_info[image_id]["id"])


def evaluate(model, dataset, coco, eval_type, limit):
    image_ids = dataset.image_ids[:limit]
    coco_image_ids = [dataset.image_info[image_id]["id"] for image_id in image_ids]
    results = []
    for image_id, coco_image_id in zip(image_ids, coco_image_ids):
        r = model.detect([dataset.load_image(image_id)], verbose=0)[0]
        masks = r["masks"].astype(np.uint8)
        for i in range(r["rois"].shape[0]):
            y1, x1, y2, x2 = np.around(r["rois"][i], 1)
            results.append(
                {
                    "image_id": coco_image_id,
                    "category_id": dataset.get_source_class_id(r["class_ids"][i], "coco"),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": r["scores"][i],
                    "segmentation": mask_utils.encode(np.asfortranarray(masks[:, :, i])),
                }
            )
    coco_eval = COCOeval(coco, coco.loadRes(results), eval_type)
    coco_eval.params.imgIds = coco_image_ids
    coco_eval.evaluate()
    coco_eval.accumulate()
    coco_eval.summarize()
    return coco_eval.stats


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["train", "evaluate"])
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--logs", default=DEFAULT_LOGS_DIR)
    parser.add_argument("--limit", default=500)
    args = parser.parse_args()

    if args.command == "train":
        config = CocoConfig()
    else:

        class InferenceConfig(CocoConfig):
            GPU_COUNT = 1
            IMAGES_PER_GPU = 1
            DETECTION_MIN_CONFIDENCE = 0

        config = InferenceConfig()
    config.display()
    mode = "training" if args.command == "train" else "inference"
    model = modellib.MaskRCNN(mode=mode, config=config, model_dir=args.logs)
    model.load_weights(COCO_MODEL_PATH if args.model == "coco" else model.find_last(), by_name=True)

    dataset_val = CocoDataset()
    coco = dataset_val.load_coco(args.dataset, "val", return_coco=True)
    dataset_val.prepare()
    if args.command == "train":
        dataset_train = CocoDataset()
        dataset_train.load_coco(args.dataset, "train")
        dataset_train.prepare()
        augmentation = imgaug.augmenters.Fliplr(0.5)
        model.train(
            dataset_train,
            dataset_val,
            learning_rate=config.LEARNING_RATE,
            epochs=1,
            layers="4+",
            augmentation=augmentation,
        )
    else:
        stats = {kind: evaluate(model, dataset_val, coco, kind, int(args.limit)) for kind in ("bbox", "segm")}
