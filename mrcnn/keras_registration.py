"""Lets `keras.saving.load_model` load the models of this package after `import mrcnn` alone.

Keras looks up classes in a dict that each module of this package extends when it is imported. Those modules import
TensorFlow, `import mrcnn` does not. So an import hook adds placeholders for the outermost objects of a saved model once
Keras is imported. A placeholder imports the module of its class, and with it all others, when a model is loaded.
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
    """Finder for `sys.meta_path`: Keras as it is installed, with the placeholders."""

    @staticmethod
    def find_spec(name: str, path=None, target=None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name) if name == "keras" else None
        if spec is not None:
            spec.loader.exec_module = functools.partial(_import_keras, spec.loader.exec_module)
        return spec


def register() -> None:
    """Adds the placeholders now if Keras is imported already, else when it is."""
    if "keras" in sys.modules:
        _add_placeholders(sys.modules["keras"])
    elif KerasFinder not in sys.meta_path:
        sys.meta_path.insert(0, KerasFinder)


def _import_keras(execute, module: ModuleType) -> None:
    execute(module)
    _add_placeholders(module)


def _add_placeholders(keras: ModuleType) -> None:
    for name in MODULES:
        keras.saving.get_custom_objects().setdefault(f"mrcnn>{name}", _placeholder(name))


def _placeholder(name: str) -> type:
    """Returns a class with only the `from_config` that Keras calls."""

    def from_config(cls, config, **options):
        return getattr(import_module(MODULES[name]), name).from_config(config, **options)

    return type(name, (), {"from_config": classmethod(from_config)})
