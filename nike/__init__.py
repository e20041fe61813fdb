"""Logo segmentation with the library `mrcnn`: commands for datasets, training, detection and evaluation."""
