"""The stages of the network, one Keras layer a file: proposals, RoIAlign, heads, detection, targets."""
