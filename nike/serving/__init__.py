"""The HTTP server of `nike serve`: one model, a queue in front of it, and the protocols of annotation tools."""
