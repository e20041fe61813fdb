"""Names of Matterport's `mrcnn` that the library itself does not need; imported by the drop-in modules."""
