"""Functions of Matterport's `mrcnn` that this package does not use itself. The drop-in modules re-export them."""
