import numpy as np
import pytest

from nike.augmentation.distractors import render_word, sample_shape


@pytest.mark.parametrize("text", ["NIKE", "\U0001f600", " ", "x" * 500])
def test_word_renders_any_text(text):
    assert render_word(np.random.default_rng(0), text)


def test_distractors_are_normalized_and_vary():
    shapes = [sample_shape(np.random.default_rng(seed)) for seed in range(200)]
    for shape in shapes:
        points = np.concatenate(shape)
        assert np.isfinite(points).all() and np.ptp(points, axis=0).max() == pytest.approx(1)
        np.testing.assert_allclose(points.min(axis=0) + points.max(axis=0), 0, atol=1e-5)
    assert len({np.concatenate(shape).tobytes() for shape in shapes}) > 150
