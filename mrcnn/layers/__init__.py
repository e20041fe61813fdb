"""The stages of the network as Keras layers, one file each: proposals, RoIAlign, heads, detection, targets."""
