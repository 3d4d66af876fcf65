import itertools

import numpy as np
import pytest

from stn_jax.experiments.inference import best_answers, most_probable


@pytest.mark.parametrize("digits", [(), (1,), (3,)])
@pytest.mark.parametrize("count", [1, 3, 100])
def test_the_best_answers_are_those_of_a_search_through_all(digits, count):
    scores = np.random.default_rng(0).standard_normal((7, *digits, 4))
    probabilities = np.exp(3 * scores) / np.exp(3 * scores).sum(axis=-1, keepdims=True)
    answers, chances = best_answers(probabilities, count)

    every = np.array(list(itertools.product(range(4), repeat=sum(digits or (1,)))))
    places = probabilities.reshape(7, -1, 4)
    chance_of_each = places[:, np.arange(places.shape[1]), every].prod(axis=-1)
    order = np.argsort(-chance_of_each, axis=1)[:, :count]
    np.testing.assert_array_equal(answers.reshape(7, -1, places.shape[1]), every[order])
    np.testing.assert_allclose(chances, np.take_along_axis(chance_of_each, order, axis=1))
    assert answers.shape == (7, min(count, len(every)), *digits)


def test_the_most_probable_label_is_the_first_of_equals():
    answers, chances = most_probable(np.full((2, 5, 10), 0.1))
    np.testing.assert_array_equal(answers, np.zeros((2, 5)))
    np.testing.assert_allclose(chances, 1e-5)
