"""Rules of the code as a whole: imports go one way, light modules stay light, only public APIs."""

import ast
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*(ROOT / "mrcnn").rglob("*.py"), *(ROOT / "nike").rglob("*.py")])
FORBIDDEN = ("keras.src", "tensorflow.python", "tf_keras", "distutils", "pickle")
LAYERS = (  # each may import from those before it
    {"mrcnn.config", "mrcnn.ops.boxes", "mrcnn.ops.boxes_tf"},
    {
        f"mrcnn.{name}"
        for name in ("anchors", "losses", "mask_targets", "layers", "backbones", "checkpoints", "log_dirs")
    },
    {f"mrcnn.{name}" for name in ("targets", "targets_numpy", "proposals", "roi_align", "detection", "heads")}
    | {"mrcnn.inference.introspection"},
    {"mrcnn.network"},
    {"mrcnn.inference.predictor"},
    {"mrcnn.model"},
)
LIGHT = [f"mrcnn.{name}" for name in ("config", "boxes", "data.image", "evaluation", "visualize")]
LIGHT += [f"nike.{name}" for name in ("annotations", "check", "cli", "synthesize")]


def imports(path: Path) -> set[str]:
    """Absolute names of the modules that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def rank(module: str) -> int | None:
    return next((i for i, layer in enumerate(LAYERS) if any(f"{module}.".startswith(f"{m}.") for m in layer)), None)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports(path):
    names = imports(path)
    bad = [name for name in names for prefix in FORBIDDEN if f"{name}.".startswith(f"{prefix}.")]
    assert not bad, "only public and safe APIs"
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    if module.startswith("mrcnn"):
        assert not [name for name in names if f"{name}.".startswith("nike.")], "mrcnn knows nothing of nike"
    own = rank(module)
    if own is not None:
        above = [name for name in names if (rank(name) or 0) > own]
        assert not above, "imports go one way"


def test_no_module_of_nike_hides_a_package():
    """`python nike/train.py` puts nike/ first on the path."""
    taken = set(packages_distributions()) | sys.stdlib_module_names
    inside = [*(ROOT / "nike").glob("*.py"), *(path.parent for path in (ROOT / "nike").glob("*/__init__.py"))]
    own = {path.stem for path in inside} - {"__init__", "__main__"}
    assert own & taken == set()


def test_light_modules_do_not_load_tensorflow():
    code = "import sys\n" + "".join(f"import {name}\n" for name in LIGHT) + "print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "False", done.stderr


def test_files_stay_small():
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}
