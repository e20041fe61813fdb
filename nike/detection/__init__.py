"""What `nike detect` is made of: sources, the detector, outputs."""
