"""Datasets and annotation formats: labelme, COCO and VIA."""
