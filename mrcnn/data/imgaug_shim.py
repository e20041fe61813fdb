"""Import hook that makes imgaug 0.4 (the last release, 2020) compatible with NumPy 2.

`import mrcnn` registers `ImgaugFinder`. `imgaug_shim.pth` in site-packages also registers it when Python starts, so
that scripts may import imgaug before mrcnn. NumPy is not modified, except for `np.sctypes` during the import of imgaug.

* imgaug reads `np.sctypes` during its import.
* Fog and clouds use `np.complex`, which NumPy 1.24 removed. It is restored only inside `imgaug.parameters`.
* ElasticTransformation multiplies float32 shifts by a float64 scalar. The result is float64 in NumPy 2, which OpenCV
  does not accept.
* pillike.Autocontrast passes arrays of size one to Pillow, which NumPy no longer converts to scalars.
"""

import functools
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class ImgaugFinder:
    """Finder for `sys.meta_path` that patches imgaug after its import and ignores all other modules."""

    @staticmethod
    def find_spec(name: str, path=None, target=None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name) if name == "imgaug" else None
        if spec is not None:
            spec.loader.exec_module = functools.partial(_import_patched, spec.loader.exec_module)
        return spec


def register() -> None:
    """Inserts `ImgaugFinder` before the other finders."""
    if ImgaugFinder not in sys.meta_path:
        sys.meta_path.insert(0, ImgaugFinder)


def _import_patched(execute, module: ModuleType) -> None:
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
    _patch(module)


def _patch(imgaug: ModuleType) -> None:
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
