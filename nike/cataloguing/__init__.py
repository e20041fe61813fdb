"""What `nike catalogue` is made of: the plan of shards, downloads, detection of a shard, the Ray Data pipeline."""
