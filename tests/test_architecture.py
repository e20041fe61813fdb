"""Rules for the whole code: import order, modules without TensorFlow, public APIs only, classes of errors."""

import ast
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*(ROOT / "mrcnn").rglob("*.py"), *(ROOT / "nike").rglob("*.py")])
FORBIDDEN = ("keras.src", "tensorflow.python", "tf_keras", "distutils", "pickle")
ROOMS = (  # layers of mrcnn; a module may import from its own layer and from earlier layers
    {"atomic", "choices", "config", "config_json", "errors", "layer_sets", "ops"},
    {"layers", "losses", "checkpoints"},
    {"backbones"},
    {"network"},
    {"data"},
    {"detections", "evaluation", "visualization"},
    {"inference"},
    {"training"},
    {"matterport"},
    {"export"},
    {"utils", "visualize"},
    {"model"},
    {"parallel_model", "load"},
    {"benchmark"},
)
APPLICATION_ROOMS = (  # layers of nike; every other module is a command or `cli`
    {"formatting", "output_checks", "quiet", "config"},
    {"datasets"},
    {"augmentation", "synthesis"},
    {"training"},
    {"reporting", "detection"},
    {"serving", "cataloguing"},
)
LIGHT = [f"mrcnn.{name}" for name in ("config", "layer_sets", "ops.boxes", "data.image", "evaluation", "visualize")]
LIGHT += ["mrcnn.export", "mrcnn.load"]
LIGHT += [f"nike.{name}" for name in ("datasets.labelme", "check", "cli", "synthesize")]


def imports(path: Path) -> set[str]:
    """Returns the absolute names of the modules that a file imports, including imports inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in SOURCES}


def own_imports(path: Path) -> set[str]:
    """Returns the modules of this project that a file imports, without packages that contain an imported module."""
    found = {name for name in imports(path) if name in MODULES}
    return found - {name.rpartition(".")[0] for name in found}


IMPORTS = {name: own_imports(path) for name, path in MODULES.items()}


def rank(module: str, package: str, rooms: tuple[set[str], ...]) -> int | None:
    """Returns the index of the layer that contains a module, or None if the module is in no layer of the package."""
    own, _, rest = module.partition(".")
    room = rest.partition(".")[0]
    return next((i for i, line in enumerate(rooms) if own == package and room in line), None)


@pytest.mark.parametrize("module", MODULES)
def test_only_public_and_safe_modules_are_imported(module):
    bad = [name for name in imports(MODULES[module]) for prefix in FORBIDDEN if f"{name}.".startswith(f"{prefix}.")]
    assert not bad


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module):
    """Imports inside functions are checked too."""
    if module.startswith("mrcnn"):
        assert not [name for name in IMPORTS[module] if f"{name}.".startswith("nike.")]
    for package, rooms in (("mrcnn", ROOMS), ("nike", APPLICATION_ROOMS)):
        own = rank(module, package, rooms)
        ranks = {name: rank(name, package, rooms) for name in IMPORTS[module]}
        assert own is None or not [name for name, other in ranks.items() if other is not None and other > own]


def defined_names(path: Path) -> set[str]:
    """Returns the names defined in the body of a module, including its `if`, `try` and `with` blocks."""
    names, nodes = set(), list(ast.parse(path.read_text()).body)
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            nodes += [*node.body, *getattr(node, "orelse", [])]
        else:
            names |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return names


@pytest.mark.parametrize("module", MODULES)
def test_imported_names_exist(module):
    """Imports inside functions are checked too, because they fail only when the function is called."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module in MODULES and node.level == 0:
            known = defined_names(MODULES[node.module])
            if "__getattr__" not in known:
                missing = {alias.name for alias in node.names} - known
                assert all(f"{node.module}.{name}" in MODULES for name in missing), (node.module, missing)


def test_there_are_no_import_cycles():
    remaining = {name: targets - {name} for name, targets in IMPORTS.items()}
    while leaves := {name for name, targets in remaining.items() if not targets}:
        remaining = {name: targets - leaves for name, targets in remaining.items() if name not in leaves}
    assert remaining == {}


def test_no_module_of_nike_hides_a_package():
    """`python nike/train.py` puts nike/ first on `sys.path`."""
    taken = set(packages_distributions()) | sys.stdlib_module_names
    inside = [*(ROOT / "nike").glob("*.py"), *(path.parent for path in (ROOT / "nike").glob("*/__init__.py"))]
    own = {path.stem for path in inside} - {"__init__", "__main__"}
    assert own & taken == set()


def test_light_modules_do_not_load_tensorflow():
    code = "import sys\n" + "".join(f"import {name}\n" for name in LIGHT) + "print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "False", done.stderr


def test_nike_detect_starts_without_slow_packages():
    code = "import sys, nike.detect\nprint([n for n in ('tensorflow', 'skimage.measure', 'scipy') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


MATHS = ("mrcnn.ops", "mrcnn.layers", "mrcnn.backbones", "mrcnn.matterport", "mrcnn.detections")


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith(MATHS)])
def test_user_errors_have_their_own_class(module):
    """The commands report any other ValueError or TypeError as a bug; see `mrcnn/errors.py`."""
    raised = [node.exc for node in ast.walk(ast.parse(MODULES[module].read_text())) if isinstance(node, ast.Raise)]
    names = {node.func.id for node in raised if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert names & {"ValueError", "TypeError"} == set()


def test_files_are_small():
    """Cohesion matters more than size, but files above this length probably contain several ideas."""
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in long.items() if lines > 450} == {}
