"""Functions of Matterport's `mrcnn` that the library does not need itself. The drop-in modules re-export them."""
