"""What `nike check` looks at, and its page."""
