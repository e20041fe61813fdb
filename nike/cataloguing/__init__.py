"""Implementation of `nike catalogue`: shards, downloads, detection and the Ray Data pipeline."""
