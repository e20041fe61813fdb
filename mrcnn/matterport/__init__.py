"""Functions of Matterport's `mrcnn` that the library does not need itself. Only the drop-in modules import them."""
