"""Runs the command `nike` as `python -m nike`."""

import sys

from nike.cli import main

if __name__ == "__main__":
    sys.exit(main())
