import math

import hypothesis
import hypothesis.strategies as st
import numpy as np

from stn_jax.training.losses import cross_entropy, is_wrong, number_errors


def one_hot_logits(numbers):
    return np.eye(11, dtype=np.float32)[numbers]


def test_cross_entropy_and_error_of_single_labels_against_their_definitions():
    logits = np.random.default_rng(0).normal(size=(7, 10)).astype(np.float32)
    labels = np.arange(7)
    odds = np.exp(logits.astype(np.float64))
    expected = -np.log(odds[np.arange(7), labels] / odds.sum(axis=1))
    np.testing.assert_allclose(cross_entropy(logits, labels), expected, rtol=1e-5)
    np.testing.assert_array_equal(is_wrong(logits, labels), logits.argmax(1) != labels)


def test_a_numbers_loss_is_that_of_all_its_digits():
    logits = np.random.default_rng(0).normal(size=(6, 5, 11)).astype(np.float32)
    labels = np.random.default_rng(1).integers(0, 11, (6, 5))
    for example in range(6):
        expected = 0.0
        for place in range(5):
            odds = [math.exp(score) for score in logits[example, place]]
            expected -= math.log(odds[labels[example, place]] / sum(odds))
        np.testing.assert_allclose(cross_entropy(logits, labels)[example], expected, rtol=1e-5)


def test_there_is_no_partial_credit():
    labels = np.array([[1, 2, 10, 10, 10]] * 4)
    answers = np.array(
        [[1, 2, 10, 10, 10], [1, 3, 10, 10, 10], [1, 2, 0, 10, 10], [1, 10, 10, 10, 10]]
    )
    np.testing.assert_array_equal(is_wrong(one_hot_logits(answers), labels), [0, 1, 1, 1])


numbers = st.integers(1, 5).flatmap(
    lambda length: st.lists(st.integers(0, 9), min_size=length, max_size=length)
)


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(st.lists(st.tuples(numbers, numbers, st.booleans()), min_size=1, max_size=6))
def test_number_errors_against_a_count_by_hand(cases):
    def padded(number):
        return number + [10] * (5 - len(number))

    counts = {"digits": 0, "wrong_digits": 0, "examples": [0] * 6, "wrong": [0] * 6}
    for truth, answer, counted in cases:
        if counted:
            counts["digits"] += len(truth)
            pairs = zip(truth, padded(answer), strict=False)
            counts["wrong_digits"] += sum(one != other for one, other in pairs)
            counts["examples"][len(truth)] += 1
            counts["wrong"][len(truth)] += truth != answer
    found = number_errors(
        one_hot_logits([padded(answer) for _, answer, _ in cases]),
        np.array([padded(truth) for truth, _, _ in cases]),
        np.array([counted for *_, counted in cases], np.float32),
    )
    assert found["digits"] == counts["digits"]
    assert found["wrong_digits"] == counts["wrong_digits"]
    np.testing.assert_array_equal(found["examples_by_length"], counts["examples"])
    np.testing.assert_array_equal(found["wrong_by_length"], counts["wrong"])
