"""Annotation files and masks: reading and writing labelme, COCO and VIA, as untrusted input."""
