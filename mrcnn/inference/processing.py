"""Preprocessing and postprocessing of images, shared by the Keras network and exported models.

Shape notation: B images, S side, D detections, C classes, M mask side, J keypoints, Q side of a keypoint map.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from mrcnn.config import Config
from mrcnn.data.fetch import read_path_or_url
from mrcnn.data.image import normalize_image, resize_image
from mrcnn.data.image_files import as_rgb
from mrcnn.data.video_files import is_video
from mrcnn.detections import Detections
from mrcnn.errors import UserError, UserTypeError
from mrcnn.ops.boxes import clip_proposals, denorm_boxes, norm_boxes, pad_boxes, pixel_boxes
from mrcnn.ops.image_meta import compose_image_meta
from mrcnn.ops.keypoints import BOX_PADDING, decode_keypoints
from mrcnn.ops.masks import drop_small_parts, mask_in_box, sample_mask

MEAN_SUBTRACTED = (
    "detect() subtracts the mean pixel, so the mean pixel was added back to an image that mold_image() had normalized. "
    "Pass the original image."
)
NO_RPN = "the network has no RPN (PROPOSALS = {!r}). Pass the proposals of each image to detect() or detect_stream()."
MIN_ABSOLUTE = 16  # largest absolute value that distinguishes images minus the mean pixel from standardized images
SIDE_MULTIPLE = 32  # stride of C5; the sides of the network input must be multiples of this stride


@dataclass(frozen=True)
class PreprocessedImage:
    """A preprocessed image.

    Attributes:
        image: `[h, w, channels]` float32, resized, padded and normalized.
        meta: `[12+C]`; see `compose_image_meta`.
        window: `[4]`, (y1, x1, y2, x2) half-open region of `image` without the padding, in pixels.
        original_shape: (H, W, channels) of the original image.
        rois: proposals `[K, 4]` int32 in pixels of `image`, zero-padded; None for networks with an RPN.
    """

    image: np.ndarray
    meta: np.ndarray
    window: np.ndarray
    original_shape: tuple[int, ...]
    rois: np.ndarray | None = None


def preprocess(photo, config: Config, number: int = 0, proposals=None) -> PreprocessedImage:
    """Preprocesses an image: resizes it, pads it and subtracts the mean pixel.

    Args:
        photo: image array `[H, W, channels]` or `[H, W]` (see `as_rgb`), a path or a URL. Arrays that have been
            normalized by `mold_image`, as in some tutorials, are converted back with a warning.
        config: image settings.
        number: index in the caller's list, for error messages.
        proposals: array `[N, 4]` of boxes in pixels of the original image, best first, for networks without an RPN.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the image is invalid.
        TypeError: if `photo` is neither a numeric array nor a path.
    """
    if photo is None:
        raise UserTypeError(
            f"images[{number}]: expected an image, got None. cv2.imread() returns None for a file that it cannot "
            "read. Check the path."
        )
    name = f"images[{number}]" if isinstance(photo, np.ndarray) else photo
    if isinstance(photo, np.ndarray):
        if is_mean_subtracted(photo, config):
            warnings.warn(MEAN_SUBTRACTED, stacklevel=2)
            photo = photo + np.asarray(config.MEAN_PIXEL)
        photo = as_rgb(photo, channels=config.IMAGE_CHANNEL_COUNT, name=name)
    elif is_video(photo):
        raise UserError(f"{photo}: expected an image, got a video. Pass a video alone, without a list: detect(path).")
    else:
        photo = read_path_or_url(photo, config.IMAGE_CHANNEL_COUNT)
    image, window, scale, _, _ = resize_image(
        photo,
        min_dim=config.IMAGE_MIN_DIM,
        max_dim=config.IMAGE_MAX_DIM,
        min_scale=config.IMAGE_MIN_SCALE,
        mode="pad64" if config.IMAGE_RESIZE_MODE == "crop" else config.IMAGE_RESIZE_MODE,  # crops are only for training
    )
    if any(side % SIDE_MULTIPLE for side in image.shape[:2]):
        raise UserError(
            f'{name}: with IMAGE_RESIZE_MODE = "none" both sides must be multiples of {SIDE_MULTIPLE}, got '
            f'{image.shape[0]} x {image.shape[1]}. Use "pad64", which pads, or "square".'
        )
    no_classes = np.zeros([config.NUM_CLASSES], dtype=np.int32)
    meta = compose_image_meta(0, photo.shape, image.shape, window, scale, no_classes)
    rois = None
    if proposals is not None:
        origin, scale = _to_original(photo.shape, window)
        boxes = proposals / np.tile(scale, 2) + np.tile(origin, 2)
        rois = clip_proposals(boxes, window, config.POST_NMS_ROIS_INFERENCE)
    return PreprocessedImage(normalize_image(image, config.MEAN_PIXEL), meta, np.array(window), photo.shape, rois)


def is_mean_subtracted(photo: np.ndarray, config: Config) -> bool:
    """Returns whether an array is an image minus the mean pixel, according to its value range.

    Other normalizations (-1..1, z-scores) have a smaller range. They cannot be reverted and are rejected by `as_rgb`.
    """
    if photo.dtype.kind != "f" or photo.ndim != 3 or photo.shape[2] != config.IMAGE_CHANNEL_COUNT or not photo.size:
        return False
    lowest = -np.asarray(config.MEAN_PIXEL) - 0.5
    low, high = photo.min(), photo.max()
    if low >= -0.5 or max(-low, high) < MIN_ABSOLUTE:
        return False
    return bool((photo >= lowest).all() and (photo < lowest + 256).all())


def mask_padding(config: Config) -> float | None:
    """Returns the padding of refined masks, as a fraction of the box size; None without mask refinement."""
    return float(config.MASK_REFINEMENT_PADDING) if config.MASK_REFINEMENT_SIZE else None


def postprocess(
    detections, masks, original_shape, image_shape, window, mask_padding=None, keypoints=None
) -> Detections:
    """Converts the network output of one image to detections in pixels of the original image.

    Args:
        detections: `[D, 6]`, (y1, x1, y2, x2, class id, score) with boxes normalized to the preprocessed image. The
            first row with class id 0 and all later rows are padding.
        masks: `[n, M, M]` probabilities for the class of each detection, or None.
        original_shape: (height, width, ...) of the original image.
        image_shape: (height, width, ...) of the preprocessed image.
        window: `[4]`, region of the preprocessed image without the padding, in pixels.
        mask_padding: see the function `mask_padding`. With refinement, the box of a detection is the box of its mask.
        keypoints: `[n, Q, Q, J]` logits in the box of each detection, padded by BOX_PADDING, or None.

    Returns:
        The detections, without zero-area boxes and without empty refined masks. The small parts of refined masks are
        dropped; see `mrcnn.ops.masks.drop_small_parts`.
    """
    padding = np.flatnonzero(detections[:, 4] == 0)
    count = padding[0] if len(padding) else len(detections)
    boxes, class_ids = detections[:count, :4], detections[:count, 4].astype(np.int32)
    scores = detections[:count, 5]
    origin, scale = _to_original(original_shape, window)
    points = None
    if keypoints is not None:
        points = decode_keypoints(keypoints[:count], pixel_boxes(pad_boxes(boxes, BOX_PADDING), image_shape))
        points[..., :2] = (points[..., :2] - origin[::-1]) * scale[::-1]
    if mask_padding is not None:
        frames = pad_boxes(pixel_boxes(boxes, image_shape), mask_padding)
        frames = (frames - np.tile(origin, 2)) * np.tile(scale, 2)
        return _paste_refined(frames, class_ids, scores, masks[:count], original_shape, points)
    y1, x1, y2, x2 = norm_boxes(np.asarray(window), image_shape)
    size = np.array([y2 - y1, x2 - x1, y2 - y1, x2 - x1])
    boxes = (boxes - np.array([y1, x1, y1, x1])) / np.where(size > 0, size, 1)  # a one-pixel window has size 0
    boxes = denorm_boxes(boxes, original_shape)
    keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    boxes, class_ids, scores = boxes[keep], class_ids[keep], scores[keep]
    crops = None
    if masks is not None:
        crops = [mask_in_box(mask, box) for mask, box in zip(masks[:count][keep], boxes, strict=True)]
    points = None if points is None else points[keep]
    return Detections(boxes, class_ids, scores, crops, original_shape, keypoints=points)


def _to_original(original_shape, window) -> tuple[np.ndarray, np.ndarray]:
    """Returns the edge-aligned mapping of points to the original image: `(point - origin) * scale`.

    Boxes without refined masks are mapped between pixel centres instead, as in Matterport's code. In an image that was
    downscaled by 2, these boxes are shifted by up to half a pixel and one pixel smaller.

    Args:
        original_shape: (height, width, ...) of the original image.
        window: `[4]`, region of the preprocessed image without the padding, in pixels.

    Returns:
        `origin [2]` and `scale [2]`, (y, x).
    """
    window = np.asarray(window, np.float64)
    return window[:2], np.asarray(original_shape[:2]) / (window[2:] - window[:2])


def _paste_refined(frames, class_ids, scores, masks, original_shape, points) -> Detections:
    """Creates detections from refined masks `[n, Q, Q]` in padded boxes `[n, 4]`, pixels of the original image."""
    masks = [drop_small_parts(mask) for mask in masks]
    pasted = [sample_mask(mask, frame, original_shape) for mask, frame in zip(masks, frames, strict=True)]
    keep = [i for i, (_, crop) in enumerate(pasted) if crop.size]
    boxes, crops = [pasted[i][0] for i in keep], [pasted[i][1] for i in keep]
    points = None if points is None else points[keep]
    detections = Detections(boxes, class_ids[keep], scores[keep], crops, original_shape, keypoints=points)
    detections.probabilities, detections.frames = [masks[i].astype(np.float16) for i in keep], frames[keep]
    return detections
