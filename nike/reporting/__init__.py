"""What `nike evaluate` computes and draws."""
