"""Training targets, compared with the original, with NumPy implementations and with values derived by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mrcnn.config import Config
from mrcnn.layers.rpn_targets import select_rpn_targets
from mrcnn.layers.targets import DetectionTargetLayer
from mrcnn.matterport.graphs import detection_targets_graph
from mrcnn.matterport.targets_numpy import build_rpn_targets
from mrcnn.ops.anchors import compute_backbone_shapes, generate_pyramid_anchors
from mrcnn.ops.boxes import box_refinement, compute_overlaps, norm_boxes

STD_DEV = [0.1, 0.1, 0.2, 0.2]


def run_rpn(anchors, class_ids, boxes, anchor_count=8, seed=(0, 0)):
    match, bbox = select_rpn_targets(
        anchors,
        np.array(class_ids, np.int32),
        np.array(boxes, np.float32).reshape(-1, 4),
        train_anchors_per_image=anchor_count,
        bbox_std_dev=STD_DEV,
        seed=seed,
    )
    return match.numpy(), bbox.numpy()


def pyramid(side, scales=Config.RPN_ANCHOR_SCALES):
    config = Config()
    shapes = compute_backbone_shapes(config, (side, side, 3))
    return generate_pyramid_anchors(scales, config.RPN_ANCHOR_RATIOS, shapes, config.BACKBONE_STRIDES, 1)


def random_boxes(rng, count, side):
    corner = rng.integers(0, side - 8, (count, 2))
    return np.concatenate([corner, np.minimum(corner + rng.integers(4, side // 2, (count, 2)), side)], axis=1)


class TestRpnTargets:
    # Five anchors of 10 x 10 pixels at columns 0, 2, 5, 20 and 40.
    FIVE = np.array([[0, x, 10, x + 10] for x in (0, 2, 5, 20, 40)], np.float64)

    @pytest.mark.parametrize("case", ["default", "nosub", "crowd"])
    def test_equals_the_original(self, golden, case):
        arrays = golden("targets.npz")
        anchor_count = int(arrays[f"rpn_{case}__n_train_anchors"])
        class_ids, boxes = arrays[f"rpn_{case}__in_gt_class_ids"], arrays[f"rpn_{case}__in_gt_boxes"]
        match, bbox = run_rpn(pyramid(256), class_ids, boxes, anchor_count)
        expected, expected_bbox = arrays[f"rpn_{case}__out_match"], arrays[f"rpn_{case}__out_bbox_f64"]
        np.testing.assert_array_equal(match == 1, expected == 1)  # fewer than half are positive, so all are kept
        assert np.count_nonzero(match == -1) == np.count_nonzero(expected == -1)
        if case == "nosub":
            np.testing.assert_array_equal(match, expected)
        np.testing.assert_allclose(bbox[: len(expected_bbox)], expected_bbox, atol=1e-6)
        assert not bbox[len(expected_bbox) :].any()

    def test_equals_a_batch_of_the_original(self, golden):
        batch = golden("train_r50small_batch.npz")
        for class_ids, boxes, expected, expected_bbox in zip(
            batch["gt_class_ids"], batch["gt_boxes"], batch["rpn_match"][..., 0], batch["rpn_bbox"], strict=True
        ):
            match, bbox = run_rpn(pyramid(256, (8, 16, 32, 64, 128)), class_ids, boxes, 256)
            np.testing.assert_array_equal(match == 1, expected == 1)
            np.testing.assert_allclose(bbox, expected_bbox, atol=1e-6)

    @pytest.mark.parametrize("seed", range(6))
    def test_equals_the_numpy_implementation(self, seed):
        rng = np.random.default_rng(seed)
        anchors = pyramid(128)
        class_ids, boxes = rng.choice([-1, 1, 2], 6), random_boxes(rng, 6, 128)
        config = Config()
        config.RPN_TRAIN_ANCHORS_PER_IMAGE = 2 * len(anchors)  # no sampling
        expected, expected_bbox = build_rpn_targets((128, 128, 3), anchors, class_ids, boxes, config)
        padded = np.concatenate([boxes, np.zeros((4, 4), int)])
        match, bbox = run_rpn(anchors, [*class_ids, 0, 0, 0, 0], padded, 2 * len(anchors))
        np.testing.assert_array_equal(match, expected)
        np.testing.assert_allclose(bbox, expected_bbox, atol=1e-5)

        # A sample is a subset with at most half positive anchors, and the deltas correspond to its anchors.
        sample, sample_bbox = run_rpn(anchors, class_ids, boxes, 16, (seed, 1))
        np.testing.assert_array_equal(sample[sample != 0], expected[sample != 0])
        positives = np.count_nonzero(sample == 1)
        assert positives == min(8, np.count_nonzero(expected == 1))
        assert np.count_nonzero(sample) == 16
        kept = (sample == 1)[expected == 1]
        np.testing.assert_array_equal(sample_bbox[:positives], bbox[: len(kept)][kept])

    def test_rules_by_hand(self):
        # The IoU with the box at columns 0-10 is 1, 8/12, 5/15, 0, 0.
        match, bbox = run_rpn(self.FIVE, [1], [[0, 0, 10, 10]])
        np.testing.assert_array_equal(match, [1, 0, 0, -1, -1])
        assert not bbox.any()

    def test_all_tied_anchors_are_positive(self):
        # The box at columns 5-10 overlaps anchors 0, 1 and 2 equally. Anchor 0 overlaps the box at columns 0-9 more.
        match, bbox = run_rpn(self.FIVE, [1, 1], [[0, 5, 10, 10], [0, 0, 10, 9]])
        np.testing.assert_array_equal(match, [1, 1, 1, -1, -1])
        np.testing.assert_allclose(bbox[0], [0, -0.5, 0, np.log(0.9) / 0.2], rtol=1e-6)
        np.testing.assert_allclose(bbox[2], [0, -2.5, 0, np.log(0.5) / 0.2], rtol=1e-6)

    def test_tied_objects_are_resolved_by_order(self):
        # Anchor 0 has an IoU of 80/100 with each of the boxes at columns 0-8 and 2-10.
        _, bbox = run_rpn(self.FIVE, [1, 1], [[0, 0, 10, 8], [0, 2, 10, 10]])
        np.testing.assert_allclose(bbox[0], [0, -1, 0, np.log(0.8) / 0.2], rtol=1e-6)

    def test_anchors_on_ignore_regions_are_neutral(self):
        match, _ = run_rpn(self.FIVE, [1, -1], [[0, 0, 10, 10], [0, 22, 10, 60]])
        np.testing.assert_array_equal(match, [1, 0, 0, 0, 0])

    @pytest.mark.parametrize(
        "class_ids, boxes",
        [
            ([], []),
            ([0, 0], np.zeros((2, 4))),
            ([-1], [[30, 0, 40, 10]]),
            ([1], [[5, 5, 5, 9]]),
            ([1], [[10, 0, 0, 10]]),
        ],
        ids=["no rows", "padding", "only an ignore region", "box without area", "box upside down"],
    )
    def test_all_anchors_are_negative_without_objects(self, class_ids, boxes):
        match, bbox = run_rpn(self.FIVE, class_ids, boxes)
        np.testing.assert_array_equal(match, [-1] * 5)
        assert bbox.shape == (8, 4) and not bbox.any()

    def test_full_sample_of_an_image_without_objects(self):
        match, _ = run_rpn(pyramid(128), [0], [[0, 0, 0, 0]], 256)
        assert np.count_nonzero(match == -1) == 256 and not (match == 1).any()

    def test_object_without_overlapping_anchors_has_no_effect(self):
        match, _ = run_rpn(self.FIVE, [1, 1], [[0, 0, 10, 10], [50, 50, 60, 60]])
        np.testing.assert_array_equal(match, [1, 0, 0, -1, -1])

    def test_sampling_is_seeded_and_uniform(self):
        box = [[0, 5, 10, 10]]  # three positives and two negatives; T = 2 keeps one of each
        samples = np.array([run_rpn(self.FIVE, [1], box, 2, (7, step))[0] for step in range(90)])
        repeated = run_rpn(self.FIVE, [1], box, 2, (7, 5))[0]
        np.testing.assert_array_equal(repeated, samples[5])
        assert ((samples == 1).sum(1) == 1).all() and ((samples == -1).sum(1) == 1).all()
        counts = np.abs(samples).sum(0)  # expected 30, 30, 30, 45, 45 with a standard deviation below 5
        assert counts[:3].min() > 12 and counts[3:].min() > 25

    def test_static_shapes_inside_a_pipeline(self):
        ids, boxes = tf.constant([1, 0]), tf.constant([[0.0, 0, 10, 10], [0, 0, 0, 0]])

        def example(step):
            seed = tf.stack([0, tf.cast(step, tf.int32)])
            return select_rpn_targets(self.FIVE, ids, boxes, train_anchors_per_image=4, bbox_std_dev=STD_DEV, seed=seed)

        dataset = tf.data.Dataset.range(2).map(example)
        assert dataset.element_spec == (tf.TensorSpec([5], tf.int32), tf.TensorSpec([4, 4], tf.float32))
        np.testing.assert_array_equal(next(iter(dataset))[0], [1, 0, 0, -1, -1])


def golden_inputs(golden, case):
    arrays = golden("targets.npz")

    def bits(name):
        shape = arrays[f"dt_{case}__{name}_shape"]
        packed = f"dt_{case}__{name}_packed" if f"dt_{case}__{name}_packed" in arrays else f"dt_{case}__{name}"
        return np.unpackbits(arrays[packed])[: np.prod(shape)].reshape(shape).astype(bool)

    names = ("in_proposals", "in_gt_class_ids", "in_gt_boxes_norm")
    inputs = [arrays[f"dt_{case}__{name}"] for name in names] + [bits("in_gt_masks")]
    outputs = [arrays[f"dt_{case}__{name}"] for name in ("out_rois", "out_class_ids", "out_deltas")]
    return inputs, [*outputs, bits("out_masks")]


def run_layer(inputs, **settings):
    """Returns the outputs for one image. Inputs and outputs have no batch axis."""
    layer = DetectionTargetLayer(**{"shuffle": False, **settings})
    return [output.numpy()[0] for output in layer([tf.constant(value)[None] for value in inputs])]


def assert_same_rows(actual, expected):
    for values, reference in zip(actual, expected, strict=True):
        np.testing.assert_allclose(np.asarray(values, np.float32), reference, atol=2e-6)


def sort_by_roi(outputs):
    """Sorts the rows of all outputs by RoI."""
    order = np.lexsort(np.asarray(outputs[0]).T)
    return [np.asarray(output)[order] for output in outputs]


class TestDetectionTargetsAgainstTheOriginal:
    @pytest.mark.parametrize("case", ["mini", "full", "crowd", "nopos", "manypos"])
    def test_same_rows(self, golden, case):
        inputs, expected = golden_inputs(golden, f"{case}_identity")
        assert_same_rows(run_layer(inputs, use_mini_mask=case != "full", negatives="matterport"), expected)

    @pytest.mark.parametrize("case", ["few", "few_full"])
    @pytest.mark.parametrize("interface", ["layer", "function"])
    def test_same_set_of_rows_in_any_order(self, golden, case, interface):
        inputs, expected = golden_inputs(golden, f"{case}_realshuffle")
        if interface == "layer":
            actual = run_layer(inputs, use_mini_mask=case == "few", negatives="matterport", shuffle=True)
        else:
            config = Config()
            config.USE_MINI_MASK = case == "few"
            actual = detection_targets_graph(*inputs, config)
        assert_same_rows(sort_by_roi(actual), sort_by_roi(expected))

    @pytest.mark.parametrize("run", ["train_r50small", "train_r50small_rois"])
    def test_equals_a_training_step_of_the_original(self, golden, run):
        batch, outputs = golden(f"{run}_batch.npz"), golden(f"{run}.npz")
        shape = 256, 256
        proposals = norm_boxes(batch["input_roi"], shape) if "input_roi" in batch else outputs["rpn_rois"]
        gt_boxes = norm_boxes(batch["gt_boxes"], shape)  # padding rows have class id 0, but boxes that are not zero
        layer = DetectionTargetLayer(rois_per_image=64, negatives="matterport", shuffle=False)
        actual = layer([proposals, batch["gt_class_ids"], gt_boxes, batch["gt_masks"]])
        masks = np.unpackbits(outputs["t_mask_packed"])[: np.prod(outputs["t_mask_shape"])]
        expected = [outputs[name] for name in ("output_rois", "t_class_ids", "t_bbox")]
        assert_same_rows(actual, [*expected, masks.reshape(outputs["t_mask_shape"])])


def small_image():
    """Returns an image with an object of class 2, an ignore region, five proposals, and padding.

    Units are eighths of the image. The IoU of the proposals with the object is 1, 1/2 (its upper half), 1/3 (shifted to
    the right), 0 and 0. The last proposal overlaps the ignore region.
    """
    proposals = [[2, 2, 4, 4], [2, 2, 3, 4], [2, 3, 4, 5], [0, 5, 1, 6], [5, 5, 7, 7], [0, 0, 0, 0]]
    proposals = np.array(proposals, np.float32) / 8
    class_ids = np.array([2, -1, 0], np.int32)
    boxes = np.array([[2, 2, 4, 4], [6, 6, 8, 8], [0, 0, 0, 0]], np.float32) / 8
    masks = np.zeros((8, 8, 3), bool)
    masks[:4, :, 0] = True  # the upper half of the object
    return proposals, class_ids, boxes, masks


SMALL = dict(rois_per_image=6, positive_ratio=0.5, mask_shape=(4, 4))


def test_keypoints_need_the_shape_of_the_image():
    with pytest.raises(ValueError, match="keypoint_map requires image_shape"):
        DetectionTargetLayer(keypoint_map=56)


class TestDetectionTargets:
    def test_by_hand(self):
        proposals, *rest = small_image()
        rois, class_ids, deltas, masks = run_layer((proposals, *rest), **SMALL)
        # There are two positives (IoU >= 0.5) and two negatives. The proposal on the ignore region is neither.
        np.testing.assert_array_equal(rois, proposals[[0, 1, 2, 3, 5, 5]])
        np.testing.assert_array_equal(class_ids, [2, 2, 0, 0, 0, 0])
        # From the upper half to the whole object, the centre moves down by half the height, and the height doubles.
        np.testing.assert_allclose(deltas[1], [0.5 / 0.1, 0, np.log(2) / 0.2, 0], atol=1e-5)
        assert not deltas[0].any() and not deltas[2:].any()
        # The upper half of the mask is full. The samples span rows 0 to 7 of 8 for the whole object and 0 to 3.5 for
        # its upper half, where the last sample of 0.5 is rounded to even.
        np.testing.assert_array_equal(masks[0], [[1] * 4, [1] * 4, [0] * 4, [0] * 4])
        np.testing.assert_array_equal(masks[1], [[1] * 4, [1] * 4, [1] * 4, [0] * 4])
        assert not masks[2:].any()

    def test_masks_of_the_whole_image(self):
        proposals, class_ids, boxes, _ = small_image()
        masks = np.zeros((65, 65, 3), bool)  # a step of 1/8 is 8 pixels
        masks[16:24, 16:27, 0] = True
        masks = run_layer((proposals, class_ids, boxes, masks), **SMALL, use_mini_mask=False)[3]
        # The sampled columns are 16, 21.3, 26.7 (a third full) and 32. The sampled rows of the upper half are 16, 18.7,
        # 21.3 and 24.
        np.testing.assert_array_equal(masks[0], [[1, 1, 0, 0], [1, 1, 0, 0], [0] * 4, [0] * 4])
        np.testing.assert_array_equal(masks[1], [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [0] * 4])

    def test_number_of_negatives_keeps_the_ratio(self):
        # There are int(4 / 3) = 1 positive and int(3 * 1) - 1 = 2 negatives.
        settings = {**SMALL, "rois_per_image": 4, "positive_ratio": 1 / 3}
        rois, class_ids, *_ = run_layer(small_image(), **settings)
        np.testing.assert_array_equal(class_ids, [2, 0, 0, 0])
        assert np.count_nonzero(rois.any(1)) == 3

    def test_fill_uses_all_negatives(self):
        proposals, class_ids, boxes, masks = small_image()
        proposals = np.concatenate([proposals, [[0.5, 0, 0.6, 0.1]]]).astype(np.float32)
        inputs = proposals, class_ids, boxes, masks
        rois = run_layer(inputs, **SMALL, negatives="fill")[0]
        np.testing.assert_array_equal(rois, proposals[[0, 1, 2, 3, 6, 5]])
        rois = run_layer(inputs, **{**SMALL, "rois_per_image": 4}, negatives="fill")[0]
        np.testing.assert_array_equal(rois, proposals[[0, 1, 2, 3]])

    @pytest.mark.parametrize("objects", ["none", "only an ignore region", "no matching proposal"])
    @pytest.mark.parametrize("negatives, count", [("matterport", 0), ("balanced", 2), ("fill", 2)])
    def test_an_image_without_positives(self, objects, negatives, count):
        proposals, class_ids, boxes, masks = small_image()
        if objects == "none":
            class_ids, boxes = class_ids * 0, boxes * 0
            proposals = proposals[2:4]
        elif objects == "only an ignore region":
            class_ids[0], boxes[0], proposals = 0, 0, proposals[2:5]
        else:
            proposals = proposals[2:]
        rois, class_ids, deltas, masks = run_layer((proposals, class_ids, boxes, masks), **SMALL, negatives=negatives)
        np.testing.assert_array_equal(rois[:count], proposals[:count])
        assert not rois[count:].any() and not class_ids.any() and not deltas.any() and not masks.any()

    @pytest.mark.parametrize("seed", range(4))
    def test_matching_equals_numpy(self, seed):
        rng = np.random.default_rng(seed)
        gt_class_ids = rng.choice([-1, 1, 2, 3], 8).astype(np.int32)
        gt_pixels = random_boxes(rng, 8, 128)
        near = gt_pixels[rng.integers(0, 8, 200)] + rng.integers(-6, 7, (200, 4))
        pixels = np.concatenate([near, random_boxes(rng, 100, 128)])
        pixels = pixels[((pixels[:, 2:] - pixels[:, :2]) > 1).all(1)]
        proposals, gt_boxes = norm_boxes(pixels, (128, 128)), norm_boxes(gt_pixels, (128, 128))
        gt_masks = rng.random((28, 28, 8)) > 0.5

        objects, crowds = gt_class_ids > 0, gt_class_ids < 0
        overlaps = compute_overlaps(proposals, gt_boxes)
        best = overlaps[:, objects].max(1)
        positive = np.flatnonzero(best >= 0.5)
        negative = np.flatnonzero((best < 0.5) & (overlaps[:, crowds].max(1, initial=0) < 0.001))
        matched = np.flatnonzero(objects)[overlaps[:, objects].argmax(1)][positive]

        size = 2 * len(proposals)
        rois, class_ids, deltas, _ = run_layer(
            (proposals, gt_class_ids, gt_boxes, gt_masks), rois_per_image=size, positive_ratio=0.5, negatives="fill"
        )
        count = len(positive)
        assert 0 < count < len(proposals)
        np.testing.assert_array_equal(rois[: count + len(negative)], proposals[np.concatenate([positive, negative])])
        np.testing.assert_array_equal(class_ids[:count], gt_class_ids[matched])
        assert not class_ids[count:].any() and not rois[count + len(negative) :].any()
        expected = box_refinement(proposals[positive], gt_boxes[matched]) / STD_DEV
        np.testing.assert_allclose(deltas[:count], expected, atol=1e-5)

    def test_padding_has_no_effect(self):
        proposals, class_ids, boxes, masks = small_image()
        padded = (
            np.pad(proposals, [(2, 3), (0, 0)]),
            np.pad(class_ids, (1, 2)),
            np.pad(boxes, [(1, 2), (0, 0)]),
            np.pad(masks, [(0, 0), (0, 0), (1, 2)]),
        )
        for actual, expected in zip(run_layer(padded, **SMALL), run_layer(small_image(), **SMALL), strict=True):
            np.testing.assert_array_equal(actual, expected)

    def test_images_of_a_batch_are_independent(self):
        first = small_image()
        second = (first[0][::-1].copy(), np.array([0, 3, 0], np.int32), first[2][[1, 0, 2]], ~first[3])
        batch = [tf.stack(pair) for pair in zip(first, second, strict=True)]
        outputs = DetectionTargetLayer(**SMALL, shuffle=False)(batch)
        for image, inputs in enumerate((first, second)):
            for output, alone in zip(outputs, run_layer(inputs, **SMALL), strict=True):
                np.testing.assert_array_equal(output[image], alone)
        assert set(np.unique(outputs[1])) == {0, 2, 3}

    @pytest.mark.parametrize("positive_ratio, class_id", [(1.0, 2), (0.33, 0)])
    def test_one_roi(self, positive_ratio, class_id):
        settings = dict(rois_per_image=1, positive_ratio=positive_ratio, mask_shape=(4, 4), negatives="fill")
        outputs = run_layer(small_image(), **settings)
        assert [output.shape for output in outputs] == [(1, 4), (1,), (1, 4), (1, 4, 4)]
        assert outputs[1][0] == class_id
        assert all(np.isfinite(output).all() for output in outputs)

    def test_fewer_proposals_than_rows(self):
        proposals, *rest = small_image()
        rois, class_ids, *_ = run_layer((proposals[:1], *rest), **SMALL)
        np.testing.assert_array_equal(rois, np.pad(proposals[:1], [(0, 5), (0, 0)]))
        np.testing.assert_array_equal(class_ids, [2, 0, 0, 0, 0, 0])

    def test_boxes_without_area_give_finite_targets(self):
        _, class_ids, boxes, masks = small_image()
        boxes[0] = [0.2, 0.2, 0.2, 0.2]  # the object and the first proposal have no area
        proposals = np.array([[0.2, 0.2, 0.2, 0.2], [0.2, 0.2, 0.2, 0.4], [0, 0, 0, 0]], np.float32)
        for negatives in ("matterport", "balanced", "fill"):
            for output in run_layer((proposals, class_ids, boxes, masks), **SMALL, negatives=negatives):
                assert np.isfinite(output).all()


class TestSampling:
    def inputs(self):
        """Returns inputs with 40 proposals on the object and 40 away from it."""
        rng = np.random.default_rng(0)
        _, class_ids, boxes, masks = small_image()
        near = boxes[0] + rng.uniform(-0.01, 0.01, (40, 4))
        proposals = np.concatenate([near, near + [0.3, 0, 0.3, 0]]).astype(np.float32)
        return [tf.constant(value)[None] for value in (proposals, class_ids, boxes, masks)]

    def test_sampling_without_replacement_up_to_the_positive_ratio(self):
        rois, class_ids, *_ = DetectionTargetLayer(rois_per_image=20, positive_ratio=0.25, seed=1)(self.inputs())
        np.testing.assert_array_equal(class_ids[0], [2] * 5 + [0] * 15)
        assert len(np.unique(rois[0], axis=0)) == 20

    def test_sampling_is_uniform(self):
        inputs = self.inputs()
        layer = DetectionTargetLayer(rois_per_image=20, positive_ratio=0.25, seed=1)
        rois = np.concatenate([layer(inputs)[0][0] for _ in range(60)])
        counts = (rois[:, None] == inputs[0].numpy()).all(-1).sum(0)
        # Positives are expected 60 * 5/40 = 7.5 times and negatives 60 * 15/40 = 22.5 times, with standard deviations
        # of 2.6 and 3.8.
        assert counts[:40].min() > 0 and counts[:40].max() < 18
        assert counts[40:].min() > 7 and counts[40:].max() < 38

    def test_sampling_is_seeded_and_resumable(self):
        inputs = self.inputs()
        layer, same_seed, other = (
            DetectionTargetLayer(rois_per_image=20, positive_ratio=0.25, seed=seed) for seed in (1, 1, 2)
        )
        first = layer(inputs)[0]
        np.testing.assert_array_equal(same_seed(inputs)[0], first)
        assert not np.array_equal(other(inputs)[0], first)
        state = layer.seed_generator.state.numpy()
        second = layer(inputs)[0]
        assert not np.array_equal(second, first)
        resumed = DetectionTargetLayer(rois_per_image=20, positive_ratio=0.25, seed=99)
        resumed.seed_generator.state.assign(state)
        np.testing.assert_array_equal(resumed(inputs)[0], second)
        assert any(variable is layer.seed_generator.state for variable in layer.variables)


class TestLayer:
    SETTINGS = dict(
        rois_per_image=6,
        positive_ratio=0.5,
        mask_shape=[4, 4],
        use_mini_mask=False,
        bbox_std_dev=[1.0, 1.0, 0.5, 0.5],
        negatives="fill",
        shuffle=False,
        seed=3,
        name="targets",
    )

    def test_config_round_trip(self):
        config = DetectionTargetLayer(**self.SETTINGS).get_config()
        assert {name: config[name] for name in self.SETTINGS} == self.SETTINGS
        assert DetectionTargetLayer.from_config(config).get_config() == config

    def test_saved_model_computes_the_same_targets(self, tmp_path):
        values = [value[None] for value in small_image()]
        inputs = [keras.Input(value.shape[1:], dtype=value.dtype.name) for value in values]
        model = keras.Model(inputs, DetectionTargetLayer(**self.SETTINGS)(inputs))
        model.save(tmp_path / "model.keras")
        reloaded = keras.saving.load_model(tmp_path / "model.keras")
        for actual, expected in zip(reloaded(values), model(values), strict=True):
            np.testing.assert_array_equal(actual, expected)

    def test_symbolic_shapes_equal_eager_shapes(self):
        values = [value[None] for value in small_image()]
        inputs = [keras.Input(value.shape[1:], dtype=value.dtype.name) for value in values]
        layer = DetectionTargetLayer(**self.SETTINGS)
        for symbol, value in zip(layer(inputs), layer(values), strict=True):
            assert symbol.shape == (None, *value.shape[1:])
            assert symbol.dtype == value.dtype.name
        traced = tf.function(lambda *values: layer(list(values))).get_concrete_function(
            *[tf.TensorSpec([None, *value.shape[1:]], value.dtype) for value in values]
        )
        assert [output.shape[1:] for output in traced.outputs] == [(6, 4), (6,), (6, 4), (6, 4, 4)]

    def test_float32_under_mixed_precision(self):
        keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            layer = DetectionTargetLayer(**self.SETTINGS)
            reloaded = DetectionTargetLayer.from_config(layer.get_config())
        finally:
            keras.config.set_dtype_policy("float32")
        expected = DetectionTargetLayer(**self.SETTINGS)([value[None] for value in small_image()])
        for other in (layer, reloaded):
            assert other.compute_dtype == "float32"
            for actual, reference in zip(other([value[None] for value in small_image()]), expected, strict=True):
                assert actual.dtype == reference.dtype
                np.testing.assert_array_equal(actual, reference)

    def test_proposals_have_no_gradient(self):
        proposals, *rest = (tf.constant(value)[None] for value in small_image())
        with tf.GradientTape() as tape:
            tape.watch(proposals)
            rois, _, deltas, masks = DetectionTargetLayer(**SMALL)([proposals, *rest])
            total = tf.reduce_sum(rois) + tf.reduce_sum(deltas) + tf.reduce_sum(masks)
        assert tape.gradient(total, proposals) is None

    def test_jit_is_not_supported(self):
        assert not DetectionTargetLayer().supports_jit  # crop_and_resize has no XLA kernel

    @pytest.mark.parametrize("ratio", [0, -1, 1.5])
    def test_invalid_positive_ratio(self, ratio):
        with pytest.raises(ValueError, match="positive_ratio must be above 0 and at most 1"):
            DetectionTargetLayer(positive_ratio=ratio)

    def test_unknown_value_of_negatives(self):
        with pytest.raises(ValueError, match="one of balanced, matterport, fill; got 'all'"):
            DetectionTargetLayer(negatives="all")


def test_add_gt_boxes():
    """No proposal overlaps the object, so its own box is the positive RoI. Ignore regions are not added."""
    proposals = np.array([[[0.5, 0.5, 0.9, 0.9]]], np.float32)
    class_ids = np.array([[1, -1, 0]], np.int32)
    boxes = np.array([[[0.1, 0.1, 0.3, 0.3], [0.0, 0.6, 0.2, 0.8], [0, 0, 0, 0]]], np.float32)
    inputs = [proposals, class_ids, boxes, np.ones((1, 8, 8, 3), bool)]
    settings = dict(rois_per_image=6, positive_ratio=0.5, negatives="fill", shuffle=False)
    for add, expected in ((False, [0, 0, 0, 0, 0, 0]), (True, [1, 0, 0, 0, 0, 0])):
        rois, ids, deltas, _ = DetectionTargetLayer(**settings, add_gt_boxes=add)(inputs)
        assert np.asarray(ids)[0].tolist() == expected
        used = np.asarray(rois)[0].any(axis=1).sum()
        assert used == (2 if add else 1)
        assert not np.asarray(deltas).any()
