"""Detection on lists, streams and videos, shared by the Keras network and exported models."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import zip_longest

import numpy as np
from PIL import Image

from mrcnn.config import Config
from mrcnn.data.video_files import frames, is_stream, is_video
from mrcnn.detections import Detections
from mrcnn.errors import UserError, UserTypeError
from mrcnn.inference.prefetch import prefetch
from mrcnn.inference.processing import NO_RPN, PreprocessedImage, postprocess, preprocess
from mrcnn.ops.boxes import as_boxes


def check_images(images) -> None:
    """Raises UserTypeError if `images`, the argument of `detect`, is a single array or PIL image instead of a list."""
    if isinstance(images, Image.Image) or (isinstance(images, np.ndarray) and images.ndim < 4):
        raise UserTypeError(
            f"detect() expects a list of images, got one {type(images).__name__}. Write detect([image])."
        )


def pair_with_proposals(images, proposals: Iterable | None, config: Config) -> Iterable | str | os.PathLike:
    """Returns the images. For a network without an RPN, returns pairs of an image and its proposals.

    Args:
        images, proposals: see `MaskRCNN.detect`.
        config: the Config of the network.

    Raises:
        ValueError: if proposals are passed to a network with an RPN or missing for a network without an RPN, or if the
            number of proposals differs from the number of images.
    """
    if config.has_rpn:
        if proposals is not None:
            raise UserError('proposals: not accepted, because the network has an RPN (PROPOSALS = "rpn").')
        return images
    if proposals is None:
        raise UserError(NO_RPN.format(config.PROPOSALS))
    if isinstance(images, (str, os.PathLike)):
        if is_video(images) or is_stream(images):
            raise UserError(f"{images}: pass the frames of a video as images, with proposals for each frame.")
        images = [images]
    check_images(images)
    return _pair_images(images, proposals)


def _pair_images(images: Iterable, proposals: Iterable) -> Iterator[tuple]:
    missing = object()
    for number, pair in enumerate(zip_longest(images, proposals, fillvalue=missing)):
        if any(each is missing for each in pair):
            raise UserError(f"proposals: expected boxes for each image, but images or proposals end after {number}.")
        yield pair


def detect_stream(
    photos: Iterable | str | os.PathLike, predictor: Callable, batch_size: int, skip_errors: bool
) -> Iterator[Detections]:
    """Runs detection on a stream of images. Images are preprocessed in a background thread.

    Consecutive images with the same preprocessed shape form a batch.

    Args:
        photos: iterable of arrays or paths, possibly infinite; or the path or URL of one image, video or stream. For a
            network without an RPN, the pairs of `pair_with_proposals`.
        predictor: `mrcnn.inference.predictor.Predictor`, or a callable with the same arguments and results, and
            with the attributes `config` and `mask_padding`.
        batch_size: maximum number of images in a batch.
        skip_errors: bool, whether to yield `Detections.failed` for an image that cannot be used, instead of raising an
            exception.

    Yields:
        The detections of each image, in order. For a video, their `source` is the frame.

    Raises:
        UserTypeError: if `photos` is one image instead of a list.
        FileNotFoundError, UserError: if a video cannot be read.
    """
    if isinstance(photos, (str, os.PathLike)):
        if is_video(photos) or is_stream(photos):
            yield from _detect_frames(photos, predictor, batch_size, skip_errors)
            return
        photos = [photos]
    check_images(photos)
    config = predictor.config

    def try_preprocess(numbered):
        number, photo = numbered
        try:
            if config.has_rpn:
                return preprocess(photo, config, number)
            photo, proposals = photo
            return preprocess(photo, config, number, as_boxes(proposals, f"proposals[{number}]"))
        except (UserError, OSError) as error:
            if skip_errors:
                return error
            raise

    with closing(prefetch(map(try_preprocess, enumerate(photos)), batch_size + 1)) as preprocessed_images:
        for batch in _batches(preprocessed_images, batch_size):
            yield from _detect_batch(batch, predictor)


def _detect_frames(video, predictor: Callable, batch_size: int, skip_errors: bool) -> Iterator[Detections]:
    """Runs detection on the frames of a video. A frame is kept only until its result is freed."""
    waiting: deque[np.ndarray] = deque()

    def images():
        for frame, _ in frames(video):
            waiting.append(frame)
            yield frame

    for result in detect_stream(images(), predictor, batch_size, skip_errors):
        result.source = waiting.popleft()
        yield result


def detect_list(results: Iterable[Detections], images) -> list[Detections]:
    """Returns the results of a stream as a list. If `images` is a list of images, sets `source` of each result.

    Args:
        results: the stream.
        images: the argument of `detect`. The frames of a video are not kept, because they would fill the memory.
    """
    if is_stream(images):
        raise UserError(f"{images}: a stream may be endless, so a list cannot hold its results. Use detect_stream().")
    if isinstance(images, (str, os.PathLike)):
        images = () if is_video(images) else [images]
    found = []
    for result in results:
        result.source = None
        found.append(result)
    for result, image in zip(found, images if isinstance(images, (list, tuple, np.ndarray)) else (), strict=False):
        result.source = image
    return found


def _batches(items: Iterable, batch_size: int) -> Iterator[list]:
    """Yields batches of consecutive compatible items. An exception in `items` is raised after the last batch."""
    batch: list = []
    try:
        for item in items:
            if batch and not _fits(batch, item, batch_size):
                yield batch
                batch = []
            batch.append(item)
    except Exception:
        yield batch
        raise
    yield batch


def _fits(batch: list, new, batch_size: int) -> bool:
    images = [item for item in batch if isinstance(item, PreprocessedImage)]
    if len(batch) >= batch_size:
        return False
    return not images or isinstance(new, Exception) or images[0].image.shape == new.image.shape


def _detect_batch(batch: list, predictor: Callable) -> Iterator[Detections]:
    images = [item for item in batch if isinstance(item, PreprocessedImage)]
    if images:
        arrays = [(i.image, i.meta) if i.rois is None else (i.image, i.meta, i.rois) for i in images]
        predicted = predictor(*map(np.stack, zip(*arrays, strict=True)))
        results = iter(zip(*predicted, strict=True))
    for item in batch:
        if isinstance(item, PreprocessedImage):
            detections, masks, keypoints = next(results)
            shapes = item.original_shape, item.image.shape, item.window
            yield postprocess(detections, masks, *shapes, predictor.mask_padding, keypoints)
        else:
            yield Detections.failed(item)
