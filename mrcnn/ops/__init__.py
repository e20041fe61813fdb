"""Maths without weights: boxes, anchors, masks, resizing, in NumPy. Counterparts on tensors end in `_tf`."""
