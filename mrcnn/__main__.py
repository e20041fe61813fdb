"""`python -m mrcnn SCRIPT [ARGUMENTS]` runs a script that was written for the original before 2018.

There was no package then: `import model as modellib`, `import utils`, `from config import Config`. Such imports get the
modules of `mrcnn`, unless Python finds modules of these names, for example beside the script. Everything else is as
with `python SCRIPT [ARGUMENTS]`.
"""

import importlib
import os
import runpy
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

FLAT_NAMES = ("config", "model", "parallel_model", "utils", "visualize")


class FlatLayout:
    """Finder and loader for `sys.meta_path`: `FLAT_NAMES` as second names of the modules in `mrcnn`."""

    @classmethod
    def find_spec(cls, name: str, path=None, target=None) -> ModuleSpec | None:
        return ModuleSpec(name, cls) if name in FLAT_NAMES else None

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(f"mrcnn.{spec.name}")
        spec.loader_state = module.__spec__
        return module

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        module.__spec__ = module.__spec__.loader_state  # the import system has just set that of the second name


def main() -> None:
    """Runs the script that the command line names."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        _fail("usage: python -m mrcnn SCRIPT [ARGUMENTS]")
    script = sys.argv[1]
    if not os.path.isfile(script):
        _fail(f"{script}: no such file.")
    del sys.argv[0]
    if not sys.flags.safe_path:
        sys.path[0] = os.path.dirname(os.path.abspath(script))
    sys.meta_path.append(FlatLayout)
    runpy.run_path(script, run_name="__main__")


def _fail(message: str) -> None:
    print(message, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
