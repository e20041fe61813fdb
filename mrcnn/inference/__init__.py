"""Inference: the predictor, streams of images, tiles, test-time augmentation and intermediate outputs."""
