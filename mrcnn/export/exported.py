"""Detection with an exported model, with the same preprocessing and postprocessing as `MaskRCNN`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from mrcnn.config import Config
from mrcnn.detections import Detections
from mrcnn.errors import UserError
from mrcnn.export.metadata import OUTPUTS, check_files, export_folder, format_module, read_metadata
from mrcnn.inference.processing import mask_padding
from mrcnn.inference.streams import detect_list, detect_stream
from mrcnn.ops.image_meta import META_FIELDS

# (images [B, S, S, channels], windows [B, 4], min_confidence [B]) -> `metadata.OUTPUTS`, None for missing outputs
Run = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray | None, ...]]


def thread_count() -> int:
    """Returns the number of threads for a runtime: OMP_NUM_THREADS, which Ray sets, or 0 for all cores."""
    count = os.environ.get("OMP_NUM_THREADS", "")
    return int(count) if count.isdecimal() else 0


def one_at_a_time(infer: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Run:
    """Returns a thread-safe `Run` function for a runtime whose models take one image at a time.

    Args:
        infer: function that runs the model on a batch of one image. It takes inputs and returns outputs by name.
    """
    lock = threading.Lock()

    def run(images, windows, min_confidence):
        results = []
        with lock:
            for i in range(len(images)):
                inputs = {"images": images, "windows": windows, "min_confidence": min_confidence}
                results.append(infer({name: array[i : i + 1] for name, array in inputs.items()}))
        outputs = {name: np.concatenate([result[name] for result in results]) for name in results[0]}
        return tuple(outputs.get(name) for name in OUTPUTS)

    return run


class ExportedPredictor:
    """Runs an exported network. The counterpart of `mrcnn.inference.predictor.Predictor`.

    Args:
        run: function of the runtime.
        config: settings of the network.
        min_confidence: score threshold.
    """

    def __init__(self, run: Run, config: Config, min_confidence: float):
        self.config, self.mask_padding = config, mask_padding(config)
        self._run, self._min_confidence = run, min_confidence

    def __call__(self, images: np.ndarray, metas: np.ndarray):
        """Returns detections `[B, D, 6]`, masks and keypoint maps; see `Predictor.__call__`."""
        windows = np.asarray(metas[:, META_FIELDS["window"]], np.float32)
        thresholds = np.full(len(images), self._min_confidence, np.float32)
        outputs = self._run(np.asarray(images, np.float32), windows, thresholds)
        return tuple([None] * len(images) if each is None else each for each in outputs)


class ExportedModel:
    """A model in a folder written by `MaskRCNN.export` or `nike export`.

    Args:
        path: the folder, or one of its files such as `model.tflite`.
        min_confidence: score threshold. None: DETECTION_MIN_CONFIDENCE of the exported Config.
        batch_size: maximum number of images in a batch.

    Attributes:
        config: the exported settings.
        class_names: class names by class id, background first, or None.
        metadata: see `mrcnn.export.metadata`.

    Raises:
        ExportError: if the folder is damaged, or if the package that runs this format is not installed.
    """

    def __init__(self, path: str | Path, min_confidence: float | None = None, batch_size: int = 1):
        path = export_folder(path)
        self.metadata = read_metadata(path)
        check_files(path, self.metadata)
        self.config = Config.from_dict(self.metadata["config"], str(path))
        self.class_names: list[str] | None = self.metadata.get("class_names")
        if min_confidence is None:
            min_confidence = float(self.config.DETECTION_MIN_CONFIDENCE or 0)
        run = format_module(self.metadata["format"]).load(path)
        self.predictor, self._batch_size = ExportedPredictor(run, self.config, min_confidence), batch_size

    def detect(self, images: Iterable | str | os.PathLike, on_error: str = "raise") -> list[Detections]:
        """Detects objects in images or in a video; see `MaskRCNN.detect`."""
        return detect_list(self.detect_stream(images, on_error), images)

    def detect_stream(self, images: Iterable | str | os.PathLike, on_error: str = "raise") -> Iterator[Detections]:
        """Detects objects in a stream of images or in a video; see `MaskRCNN.detect_stream`."""
        if on_error not in ("raise", "skip"):
            raise UserError(f"on_error must be 'raise' or 'skip', got {on_error!r}.")
        for result in detect_stream(images, self.predictor, self._batch_size, on_error == "skip"):
            result.class_names = self.class_names
            result.keypoint_names = list(self.config.KEYPOINT_NAMES) or None
            yield result
