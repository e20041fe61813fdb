"""Detection on one image, in total and by stage, with 1, 10 and 100 detections from 1000 proposals."""

import json

import keras
import numpy as np
import tensorflow as tf

from mrcnn.benchmark import measure
from mrcnn.config import Config
from mrcnn.inference.predictor import Predictor
from mrcnn.inference.processing import postprocess, preprocess
from mrcnn.network import NetworkBuilder

COUNTS = (1, 10, 100)
PHOTO_SHAPE = (1600, 1280, 3)


def count_head_operations(config: Config, proposals: int, detections: int) -> float:
    """Returns the number of operations (multiplications and additions) of the box head and the mask head."""
    channels, classes, fc = config.TOP_DOWN_PYRAMID_SIZE, config.NUM_CLASSES, config.FPN_CLASSIF_FC_LAYERS_SIZE
    box = config.POOL_SIZE**2 * channels * fc + fc * fc + fc * classes * 5
    cells, width = config.MASK_POOL_SIZE**2, config.MASK_HEAD_CHANNELS
    mask = cells * 9 * width * (channels + (config.MASK_HEAD_CONVOLUTIONS - 1) * width)
    mask += cells * 4 * width * width + 4 * cells * width * classes
    return 2.0 * (proposals * box + detections * mask)


def main() -> None:
    options = measure.parse_arguments(backbone="resnet50", size=512, precision="float32")
    measure.set_precision(options.precision)
    keras.utils.set_random_seed(0)
    config = Config().copy(
        NAME="bench",
        BACKBONE=options.backbone,
        NUM_CLASSES=81,
        IMAGE_MIN_DIM=options.size,
        IMAGE_MAX_DIM=options.size,
        DETECTION_MIN_CONFIDENCE=0.0,
        DETECTION_NMS_THRESHOLD=1.0,  # no suppression, so that the number of detections is fixed
    )
    builder = NetworkBuilder(config)
    network = builder.inference()
    measure.classify_all(network)
    photo = np.random.default_rng(0).integers(0, 256, PHOTO_SHAPE, dtype=np.uint8)
    item = preprocess(photo, config)
    anchors = Predictor(network, config).anchors(item.image.shape)
    inputs = [tf.constant(item.image[None]), tf.constant(item.meta[None], tf.float32), anchors]

    def compiled(outputs):
        model = keras.Model(network.inputs, outputs)
        function = tf.function(lambda *tensors: model(list(tensors), training=False))
        return function, lambda: keras.tree.map_structure(lambda t: t.shape, function(*inputs))

    features, run_features = compiled(builder.pyramid)
    rpn, run_rpn = compiled(builder.rpn)
    proposals, run_proposals = compiled(network.outputs[4])
    _, run_boxes = compiled(network.outputs[0])
    found = np.asarray(proposals(*inputs))[0].any(axis=1).sum()
    layer, predictors = network.get_layer("mrcnn_detection"), {}
    for count in COUNTS:
        layer.settings["max_instances"] = count  # the output of the mask head remains padded to 100
        predictor = predictors[count] = Predictor(network, config)
        detections, masks, _ = predictor(item.image[None], item.meta[None])  # traces the function
    functions = {f"detect_{n}": lambda p=p: p(item.image[None], item.meta[None]) for n, p in predictors.items()}
    stages = dict(features=run_features, rpn=run_rpn, proposals=run_proposals, boxes=run_boxes)
    window, shape = item.window, item.image.shape
    others = dict(
        preprocess=lambda: preprocess(photo, config),
        postprocess_100=lambda: postprocess(detections[0], masks[0], PHOTO_SHAPE, shape, window),
        bare=measure.make_bare_convolution(options.precision),
    )
    seconds = measure.measure_medians({**functions, **stages, **others})
    rate = measure.BARE_OPERATIONS / seconds["bare"]
    static = measure.count_operations(rpn.get_concrete_function(*inputs))
    efficiency = {
        f"efficiency_{n}": round((static + count_head_operations(config, found, n)) / seconds[f"detect_{n}"] / rate, 2)
        for n in COUNTS
    }
    figures = {name: round(value, 3) for name, value in seconds.items() if name != "bare"}
    whole = dict(proposal_count=int(found), bare_gflops=round(rate / 1e9), peak_mib=measure.peak_memory())
    print(json.dumps({**figures, **efficiency, **whole}))


if __name__ == "__main__":
    main()
