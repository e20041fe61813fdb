"""The stages of the network, one Keras layer per file: proposals, RoIAlign, heads, detection, targets."""
