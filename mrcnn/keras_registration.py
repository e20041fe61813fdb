"""Allows `keras.saving.load_model` to load the models of this package after `import mrcnn` alone.

Keras looks up classes in a registry. Each module of this package adds its classes to the registry when it is imported.
These modules import TensorFlow, but `import mrcnn` does not. For this reason, an import hook adds placeholders for the
outermost objects of a saved model after Keras is imported. When a model is loaded, a placeholder imports the module of
its class, and this module imports the modules of all other classes.
"""

import functools
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

MODULES = {
    "Network": "mrcnn.network",
    "SGD": "mrcnn.training.distribution",
    "AdamW": "mrcnn.training.distribution",
    "Schedule": "mrcnn.training.schedules",
}


class KerasFinder:
    """Finder for `sys.meta_path` that adds the placeholders after the import of Keras and ignores other modules."""

    @staticmethod
    def find_spec(name: str, path=None, target=None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name) if name == "keras" else None
        if spec is not None:
            spec.loader.exec_module = functools.partial(_import_keras, spec.loader.exec_module)
        return spec


def register() -> None:
    """Adds the placeholders immediately if Keras is already imported, otherwise after its import."""
    if "keras" in sys.modules:
        _add_placeholders(sys.modules["keras"])
    elif KerasFinder not in sys.meta_path:
        sys.meta_path.insert(0, KerasFinder)


def _import_keras(execute, module: ModuleType) -> None:
    execute(module)
    _add_placeholders(module)


def _add_placeholders(keras: ModuleType) -> None:
    for name in MODULES:
        keras.saving.get_custom_objects().setdefault(f"mrcnn>{name}", _make_placeholder(name))


def _make_placeholder(name: str) -> type:
    """Returns a class whose only method is the `from_config` that Keras calls."""

    def from_config(cls, config, **options):
        return getattr(import_module(MODULES[name]), name).from_config(config, **options)

    return type(name, (), {"from_config": classmethod(from_config)})
