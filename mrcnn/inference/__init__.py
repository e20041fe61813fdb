"""Detection on images: the predictor and its streams, tiles, test-time augmentation, intermediate outputs."""
