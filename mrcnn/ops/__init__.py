"""Operations on boxes, anchors, masks and images in NumPy. Modules ending in `_tf` operate on TensorFlow tensors."""
