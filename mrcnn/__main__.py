"""`python -m mrcnn SCRIPT [ARGUMENTS]` runs a script for the original, also one that imports imgaug before mrcnn.

Under NumPy 2 imgaug can be imported only after mrcnn, see `data.imgaug_shim`, and many scripts do it the other way
round. All else is as with `python SCRIPT [ARGUMENTS]`.
"""

import os
import runpy
import sys

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python -m mrcnn SCRIPT [ARGUMENTS]")
    script = sys.argv[1]
    if not os.path.isfile(script):
        sys.exit(f"{script}: no such file.")
    sys.argv = sys.argv[1:]
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
    runpy.run_path(script, run_name="__main__")
