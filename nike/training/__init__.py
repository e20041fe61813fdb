"""What `nike train` is made of: data, start weights, stages, the run."""
