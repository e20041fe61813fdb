"""Training and inference graph: shared weights, layer names, backbones, settings, dtype policies, padding."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mrcnn.backbones import BACKBONES, build_backbone
from mrcnn.inference.predictor import Predictor
from mrcnn.network import LOSSES, NetworkBuilder, flatten_layers, named_layers
from mrcnn.ops.anchors import compute_backbone_shapes


def image_batch(config, count=2, seed=0):
    """Returns preprocessed noise images and their metas."""
    side = config.IMAGE_MAX_DIM
    shape = (count, side, side, config.IMAGE_CHANNEL_COUNT)
    images = np.random.default_rng(seed).uniform(-100, 100, shape).astype(np.float32)
    metas = np.zeros((count, config.IMAGE_META_SIZE), np.float32)
    metas[:, 1:4] = metas[:, 4:7] = [side, side, 3]
    metas[:, 7:11] = [0, 0, side, side]
    metas[:, 12:] = 1
    return images, metas


def training_batch(config, count=2, seed=0):
    """Returns training inputs with one object of class 1 per image."""
    images, metas = image_batch(config, count, seed)
    anchors = 3 * sum(h * w for h, w in compute_backbone_shapes(config, config.IMAGE_SHAPE))
    rng = np.random.default_rng(seed)
    match = rng.choice([-1, 0, 1], (count, anchors, 1), p=[0.2, 0.7, 0.1]).astype(np.int32)
    slots = config.MAX_GT_INSTANCES
    class_ids, boxes = np.zeros((count, slots), np.int32), np.zeros((count, slots, 4), np.float32)
    class_ids[:, 0], boxes[:, 0] = 1, [8, 8, 40, 48]
    masks = np.zeros((count, *config.MINI_MASK_SHAPE, slots), bool)
    masks[:, 10:40, 10:40, 0] = True
    deltas = rng.normal(0, 1, (count, config.RPN_TRAIN_ANCHORS_PER_IMAGE, 4)).astype(np.float32)
    return [images, metas, match, deltas, class_ids, boxes, masks]


def test_both_graphs_use_the_same_weights(tiny_config):
    builder = NetworkBuilder(tiny_config())
    training, inference = named_layers(builder.training()), named_layers(builder.inference())
    assert set(inference) <= set(training)
    assert all(training[name] is inference[name] for name in inference)
    assert set(training) - set(inference) <= {"proposal_targets"}  # state of the random sampling


def test_training_outputs(tiny_config):
    config = tiny_config()
    model = NetworkBuilder(config).training()
    outputs = [np.asarray(output) for output in model([tf.constant(a) for a in training_batch(config)])]
    assert [output.shape for output in outputs[3:9]] == [
        (2, 16, 3),
        (2, 16, 3),
        (2, 16, 3, 4),
        (2, 16, 28, 28, 3),
        (2, 50, 4),
        (2, 16, 4),
    ]
    losses = dict(zip(LOSSES, outputs[-5:], strict=True))
    assert all(loss.shape == () and np.isfinite(loss) for loss in losses.values())
    assert losses["rpn_class_loss"] > 0


def test_external_proposals(tiny_config):
    config = tiny_config().copy(USE_RPN_ROIS=False)
    model = NetworkBuilder(config).training()
    rois = np.zeros((2, config.POST_NMS_ROIS_TRAINING, 4), np.int32)
    rois[:, :10] = [8, 8, 40, 48]
    outputs = model([tf.constant(a) for a in [*training_batch(config), rois]])
    proposals = np.asarray(outputs[7])
    np.testing.assert_allclose(proposals[0, 0], np.array([8, 8, 39, 47]) / 63, atol=1e-6)
    np.testing.assert_allclose(np.asarray(outputs[8])[0, 0], proposals[0, 0], atol=1e-6)  # the positive RoI


def test_every_trainable_weight_has_a_gradient(tiny_config):
    """With frozen statistics, gamma and beta are trainable, but the moving statistics are not."""
    config = tiny_config().copy(USE_RPN_ROIS=False)
    model = NetworkBuilder(config).training()
    rois = np.zeros((2, config.POST_NMS_ROIS_TRAINING, 4), np.int32)
    rois[:, :10], rois[:, 10:20] = [8, 8, 40, 48], [40, 40, 60, 60]  # positive and negative
    with tf.GradientTape() as tape:
        loss = tf.add_n(model([tf.constant(a) for a in [*training_batch(config), rois]], training=True)[-5:])
    variables = model.trainable_variables
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    without_gradient = [
        v.path for v, g in zip(variables, gradients, strict=True) if g is None or not np.any(np.asarray(g))
    ]
    assert without_gradient == []
    kinds = {variable.path.split("/")[-1] for variable in variables}
    assert {"gamma", "beta"} <= kinds and not kinds & {"moving_mean", "moving_variance"}


@pytest.mark.parametrize("name", [name for name in BACKBONES if "101" not in name and not name.endswith("c4")])
def test_strides_of_the_backbones(name):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, build_backbone(name, image, False))
    maps = model(np.zeros((1, 64, 64, 3), np.float32))
    strides = [64 // feature.shape[1] for feature in maps]
    assert strides[1:] == [4, 8, 16, 32]


def test_resnets_have_the_published_number_of_parameters(tiny_config):
    # Parameters of ResNet50 and ResNet101 of Keras Applications without top.
    for name, count in (("resnet50", 23_587_712), ("resnet101", 42_658_176)):
        image = keras.Input((None, None, 3))
        assert keras.Model(image, build_backbone(name, image, False)).count_params() == count


def test_mobilenet_has_the_published_number_of_parameters():
    # MobileNetV2 of torchvision has 3,504,872 parameters, including the classifier (1,281,000) and the last convolution
    # with its normalisation (409,600 + 2,560).
    image = keras.Input((None, None, 3))
    model = keras.Model(image, build_backbone("mobilenet_v2", image, False))
    trainable = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    assert trainable == 3_504_872 - 1_281_000 - 409_600 - 2_560


def test_backbone_function(tiny_config):
    def pooling_pyramid(image, stage5, train_bn):
        maps = [keras.layers.AveragePooling2D(2)(image)]
        for _ in range(4):
            maps.append(keras.layers.AveragePooling2D(2)(maps[-1]))
        return maps

    class OwnConfig(tiny_config):
        BACKBONE = pooling_pyramid
        COMPUTE_BACKBONE_SHAPE = staticmethod(
            lambda shape: [[shape[0] // s, shape[1] // s] for s in (4, 8, 16, 32, 64)]
        )

    config = OwnConfig()
    config.validate()
    model = NetworkBuilder(config).inference()
    assert named_layers(model)["fpn_c2p2"].get_weights()[0].shape[:3] == (1, 1, 3)  # channels of the pooled image
    detections, *_ = Predictor(model, config)(*image_batch(config))
    assert detections.shape == (2, 10, 6)


def test_number_of_image_channels(tiny_config):
    config = tiny_config().copy(IMAGE_CHANNEL_COUNT=5, MEAN_PIXEL=np.zeros(5))
    model = NetworkBuilder(config).inference()
    assert named_layers(model)["mnv2_conv1"].get_weights()[0].shape[:3] == (3, 3, 5)
    assert Predictor(model, config)(*image_batch(config))[0].shape == (2, 10, 6)


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("ROI_ALIGN_METHOD", "method", "gather"),
        ("ROI_POOLING", "pooling", "pool"),
        ("DETECTION_BOX_VOTING", "box_voting", 0.6),
    ],
)
def test_settings_are_passed_to_the_layers(tiny_config, setting, field, value):
    model = NetworkBuilder(tiny_config().copy(**{setting: value})).inference()
    configs = [layer.get_config() for layer in model.layers]
    found = [config[field] for config in configs if field in config]
    assert found and set(found) == {value}


def test_softmax_masks_are_distributions_with_their_own_loss(tiny_config):
    config = tiny_config().copy(MASK_ACTIVATION="softmax")
    builder = NetworkBuilder(config)
    (loss,) = [layer for layer in builder.training().layers if layer.name == "mrcnn_mask_loss"]
    assert loss.get_config()["function"] == "mrcnn_softmax_mask_loss"
    outputs = builder.training()([tf.constant(a) for a in training_batch(config)])
    masks = np.asarray(outputs[6])
    used = masks.any(axis=(2, 3, 4))
    np.testing.assert_allclose(masks[used].sum(axis=-1), 1, atol=1e-5)


def test_a_batch_equals_single_images(tiny_config):
    config = tiny_config()
    predict = Predictor(NetworkBuilder(config).inference(), config)
    images, metas = image_batch(config, 3)
    together, masks, _ = predict(images, metas)
    for index in range(3):
        alone, mask, _ = predict(images[index : index + 1], metas[index : index + 1])
        np.testing.assert_allclose(together[index], alone[0], atol=1e-4)
        count = min(mask.shape[1], masks.shape[1], int((alone[0, :, 4] > 0).sum()))
        np.testing.assert_allclose(masks[index, :count], mask[0, :count], atol=1e-3)


def test_padding_of_proposals_does_not_change_the_result(tiny_config):
    few, many = tiny_config().copy(POST_NMS_ROIS_INFERENCE=200), tiny_config().copy(POST_NMS_ROIS_INFERENCE=900)
    first, second = NetworkBuilder(few).inference(), NetworkBuilder(many).inference()
    second.set_weights(first.get_weights())
    batch = image_batch(few, 1)
    (one, masks, _), (two, more_masks, _) = Predictor(first, few)(*batch), Predictor(second, many)(*batch)
    np.testing.assert_allclose(one, two, atol=1e-5)
    np.testing.assert_allclose(masks, more_masks, atol=1e-4)


def test_no_detections(tiny_config):
    config = tiny_config().copy(DETECTION_MIN_CONFIDENCE=1.0)
    detections, masks, _ = Predictor(NetworkBuilder(config).inference(), config)(*image_batch(config))
    assert not detections.any()
    assert masks.shape[1] == 0


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_outputs_of_mixed_precision_are_finite_float32(tiny_config, policy):
    """`test_parity.py` and `test_shipped_weights.py` compare the results of bfloat16 with those of float32."""
    config = tiny_config()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = NetworkBuilder(config).inference()
    finally:
        keras.config.set_dtype_policy(before)
    assert all(output.dtype == "float32" for output in model.outputs)
    batch = [*image_batch(config), np.asarray(Predictor(model, config).anchors((64, 64)))]
    outputs = [np.asarray(output) for output in model([tf.constant(array) for array in batch])]
    assert all(np.isfinite(output).all() for output in outputs)
    assert np.ptp(outputs[5][..., 1]) > 0  # the scores of the RPN depend on the image


def test_nested_layers_are_found_by_name(tiny_config):
    model = NetworkBuilder(tiny_config()).inference()
    for name in ("rpn_conv_shared", "mnv2_conv1", "bn_mnv2_conv1", "mrcnn_class_conv1", "mrcnn_mask", "rpn_model"):
        assert model.get_layer(name).name == name
    with pytest.raises(ValueError, match="no_such_layer"):
        model.get_layer("no_such_layer")
    names = [layer.name for layer in flatten_layers(model) if layer.weights]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["resnet101", "resnext50", "mobilenet_v2"])
def test_random_weights_with_frozen_statistics_keep_the_scale_of_features(name):
    """Batch normalisation with mean 0 and variance 1 is the identity, so only the initialisers determine the scale."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    network = keras.Model(image, build_backbone(name, image, train_bn=False))
    c5 = network(np.random.default_rng(0).normal(0, 60, (1, 64, 64, 3)).astype(np.float32))[-1]
    assert 0.01 < np.std(c5) < 100
