"""The HTTP server of `nike serve`, with endpoints for annotation tools."""
