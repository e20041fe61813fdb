"""`python -m mrcnn SCRIPT [ARGUMENTS]` runs a script written for Matterport's code before 2018.

Such scripts import top-level modules: `import model as modellib`, `import utils`, `from config import Config`. These
imports resolve to the modules of `mrcnn` unless Python finds other modules of these names, for example next to the
script. Otherwise the command behaves like `python SCRIPT [ARGUMENTS]`.
"""

import importlib
import os
import runpy
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

FLAT_NAMES = ("config", "model", "parallel_model", "utils", "visualize")


class FlatNameFinder:
    """Finder and loader for `sys.meta_path` that imports the modules of `mrcnn` under their FLAT_NAMES."""

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
        module.__spec__ = module.__spec__.loader_state  # restores the spec that the import system replaced


def main() -> None:
    """Runs the script given on the command line."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        _fail("usage: python -m mrcnn SCRIPT [ARGUMENTS]")
    script = sys.argv[1]
    if not os.path.isfile(script):
        _fail(f"{script}: no such file.")
    del sys.argv[0]
    if not sys.flags.safe_path:
        sys.path[0] = os.path.dirname(os.path.abspath(script))
    sys.meta_path.append(FlatNameFinder)
    runpy.run_path(script, run_name="__main__")


def _fail(message: str) -> None:
    print(message, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
