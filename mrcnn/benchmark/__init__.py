"""`make bench`: speed and memory of detection and of a training step on this machine, against its bare convolution."""
