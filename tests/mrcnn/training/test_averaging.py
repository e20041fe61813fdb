"""Moving average of weights, derived by hand."""

import keras
import numpy as np

from mrcnn.training.averaging import WeightAverage


def test_momentum_of_the_average_increases():
    weight = keras.Variable(np.float32([0.0]))
    average = WeightAverage([weight], momentum=0.2)
    weight.assign([1.0])
    average.update()  # momentum min(0.2, 2 / 11): 9 / 11 of the way
    np.testing.assert_allclose(average.averages[0].numpy(), [9 / 11], rtol=1e-6)
    average.update()  # momentum min(0.2, 3 / 12) = 0.2
    np.testing.assert_allclose(average.averages[0].numpy(), [9 / 11 + 0.8 * 2 / 11], rtol=1e-6)


def test_the_latest_weights_are_restored_even_after_an_error():
    weight = keras.Variable(np.float32([1.0]))
    average = WeightAverage([weight], momentum=0.9)
    weight.assign([5.0])
    try:
        with average.swap_in():
            assert weight.numpy() == 1.0
            raise OSError
    except OSError:
        pass
    assert weight.numpy() == 5.0
    average.overwrite_variables()
    assert weight.numpy() == 1.0
