import numpy as np

from mrcnn.data.cache import ExampleCache
from mrcnn.data.training_examples import prepare


def test_cached_examples_equal_read_examples(squares, small_config):
    dataset, cache = squares(3), ExampleCache(1 << 20)
    for _ in range(2):
        for image_id in dataset.image_ids:
            kept = cache.get(image_id, lambda i=image_id: prepare(dataset, small_config, i))
            fresh = prepare(dataset, small_config, image_id)
            np.testing.assert_array_equal(kept.image, fresh.image)
            np.testing.assert_array_equal(kept.masks, fresh.masks)
            assert kept.masks.dtype == bool and kept.class_ids.tolist() == fresh.class_ids.tolist()
            assert (kept.window, kept.scale, kept.original_shape) == (fresh.window, fresh.scale, fresh.original_shape)
    assert dataset.reads == 3 + 6  # each image is read once through the cache


def test_the_budget_limits_the_cache_and_the_first_examples_stay(squares, small_config):
    dataset = squares(5)
    one = prepare(dataset, small_config, 0).image.nbytes
    cache = ExampleCache(int(2.5 * one))
    for _ in range(2):
        dataset.reads = 0
        for image_id in dataset.image_ids:
            cache.get(image_id, lambda i=image_id: prepare(dataset, small_config, i))
        assert cache.used <= cache.budget
    assert dataset.reads == 3


def test_empty_mask(dataset_of, small_config):
    dataset, cache = dataset_of(([(5, 5, 5, 5), (5, 5, 20, 30)],)), ExampleCache(1 << 20)
    for _ in range(2):
        example = cache.get(0, lambda: prepare(dataset, small_config, 0))
    assert example.masks.any(axis=(0, 1)).tolist() == [False, True]
