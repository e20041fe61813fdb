"""Implementation of `nike train`: options, data, initial weights, stages and the run."""
