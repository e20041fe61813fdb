"""Lets imgaug 0.4 (2020, the last release) run on NumPy 2: an import hook that acts when imgaug is imported.

`import mrcnn` registers `ImgaugFinder`. `imgaug_shim.pth`, which the installation copies into site-packages, does the
same whenever Python starts, so that scripts may import imgaug first. NumPy itself is left as it is:

* `np.sctypes`, which imgaug reads while it is imported, exists for the time of that import.
* `np.complex`, which fog and clouds need, exists in `imgaug.parameters` alone.
* ElasticTransformation: its shifts, float32 times a float64 scalar, used to stay float32; NumPy 2 makes them float64,
  which OpenCV does not accept.
* pillike.Autocontrast passes arrays of one number to Pillow, and NumPy no longer converts them to numbers.
"""

import functools
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class ImgaugFinder:
    """Finder for `sys.meta_path`: imgaug as it is installed, repaired once it is imported; nothing else."""

    @staticmethod
    def find_spec(name: str, path=None, target=None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name) if name == "imgaug" else None
        if spec is not None:
            spec.loader.exec_module = functools.partial(_import_repaired, spec.loader.exec_module)
        return spec


def register() -> None:
    """Puts `ImgaugFinder` before the other finders."""
    if ImgaugFinder not in sys.meta_path:
        sys.meta_path.insert(0, ImgaugFinder)


def _import_repaired(execute, module: ModuleType) -> None:
    import numpy as np

    if hasattr(np, "sctypes"):
        execute(module)
    else:
        np.sctypes = {  # noqa: NPY201
            "int": [np.int8, np.int16, np.int32, np.int64],
            "uint": [np.uint8, np.uint16, np.uint32, np.uint64],
            "float": [np.float16, np.float32, np.float64, np.longdouble],
        }
        try:
            execute(module)
        finally:
            del np.sctypes  # noqa: NPY201
    _repair(module)


def _repair(imgaug: ModuleType) -> None:
    np, geometric, pillike = imgaug.parameters.np, imgaug.augmenters.geometric, imgaug.augmenters.pillike
    map_coordinates = geometric.ElasticTransformation._map_coordinates
    autocontrast = pillike._autocontrast_pil

    class NumPyWithComplex(ModuleType):
        complex = complex

        def __getattr__(self, name):
            return getattr(np, name)

    def map_float32(image, dx, dy, **kwargs):
        return map_coordinates(image, dx.astype(np.float32), dy.astype(np.float32), **kwargs)

    def autocontrast_of_number(image, cutoff, ignore):
        return autocontrast(image, np.asarray(cutoff).item(), ignore)

    imgaug.parameters.np = NumPyWithComplex("numpy")
    geometric.ElasticTransformation._map_coordinates = staticmethod(map_float32)
    pillike._autocontrast_pil = autocontrast_of_number
