"""`python -m nike`: the same as the command `nike`."""

import sys

from nike.cli import main

if __name__ == "__main__":
    sys.exit(main())
