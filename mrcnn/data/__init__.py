"""Datasets, image reading, augmentation and the input pipeline."""
