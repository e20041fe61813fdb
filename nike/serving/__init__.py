"""The HTTP server of `nike serve`, with the protocols of annotation tools."""
