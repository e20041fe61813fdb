"""Lets imgaug 0.4 (2020, the last release) run on NumPy 2. Import this module before imgaug.

imgaug reads `np.sctypes` when it is imported and `np.complex` when it makes fog and clouds; NumPy has removed both.
They are put back where they are missing, with the values they had. Two augmenters fail nevertheless, and `load_imgaug`
repairs them:

* ElasticTransformation: its shifts, float32 times a float64 scalar, used to stay float32; NumPy 2 makes them float64,
  which OpenCV does not take.
* pillike.Autocontrast: it hands arrays of one number to Pillow, and NumPy no longer turns them into numbers.
"""

import functools
from types import ModuleType

import numpy as np

NUMPY_1_TYPES = {
    "int": [np.int8, np.int16, np.int32, np.int64],
    "uint": [np.uint8, np.uint16, np.uint32, np.uint64],
    "float": [np.float16, np.float32, np.float64, np.longdouble],
    "complex": [np.complex64, np.complex128, np.clongdouble],
    "others": [bool, object, bytes, str, np.void],
}
vars(np).setdefault("sctypes", NUMPY_1_TYPES)
vars(np).setdefault("complex", complex)


@functools.cache
def load_imgaug() -> ModuleType:
    """imgaug, repaired.

    Raises:
        ImportError: it is not installed.
    """
    import imgaug  # slow to import, and few need it
    from imgaug.augmenters import geometric, pillike

    map_coordinates = geometric.ElasticTransformation._map_coordinates
    autocontrast = pillike._autocontrast_pil

    def map_float32(image, dx, dy, **kwargs):
        return map_coordinates(image, dx.astype(np.float32), dy.astype(np.float32), **kwargs)

    def autocontrast_of_number(image, cutoff, ignore):
        return autocontrast(image, np.asarray(cutoff).item(), ignore)

    geometric.ElasticTransformation._map_coordinates = staticmethod(map_float32)
    pillike._autocontrast_pil = autocontrast_of_number
    return imgaug
