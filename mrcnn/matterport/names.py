"""Modules that scripts obtain from Matterport's `model` module: `modellib.tf`, `from mrcnn.model import *`."""

import datetime
import logging
import math
import multiprocessing
import random
import re
from collections import OrderedDict

import keras
import keras.backend as K
import keras.layers as KL
import keras.models as KM
import tensorflow as tf

KE = keras.layers  # Keras 3 has no `keras.engine`, of which scripts use `KE.Layer`

__all__ = [
    "KE",
    "KL",
    "KM",
    "K",
    "OrderedDict",
    "datetime",
    "logging",
    "math",
    "multiprocessing",
    "random",
    "re",
    "tf",
]
