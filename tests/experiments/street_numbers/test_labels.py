import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from stn_jax.experiments.street_numbers.labels import NumberLabels

LABELS = NumberLabels()


def one_hot_logits(numbers):
    return np.eye(11, dtype=np.float32)[numbers]


def test_a_numbers_loss_is_that_of_all_its_digits():
    logits = np.random.default_rng(0).normal(size=(6, 5, 11)).astype(np.float32)
    labels = np.random.default_rng(1).integers(0, 11, (6, 5))
    for example in range(6):
        expected = 0.0
        for place in range(5):
            odds = [math.exp(score) for score in logits[example, place]]
            expected -= math.log(odds[labels[example, place]] / sum(odds))
        np.testing.assert_allclose(LABELS.loss(logits, labels)[example], expected, rtol=1e-5)


def test_there_is_no_partial_credit():
    labels = np.array([[1, 2, 10, 10, 10]] * 4)
    answers = np.array(
        [[1, 2, 10, 10, 10], [1, 3, 10, 10, 10], [1, 2, 0, 10, 10], [1, 10, 10, 10, 10]]
    )
    np.testing.assert_array_equal(LABELS.is_wrong(one_hot_logits(answers), labels), [0, 1, 1, 1])


numbers = st.integers(1, 5).flatmap(
    lambda length: st.lists(st.integers(0, 9), min_size=length, max_size=length)
)


@hypothesis.settings(max_examples=40)
@hypothesis.given(st.lists(st.tuples(numbers, numbers, st.booleans()), min_size=1, max_size=6))
def test_error_sums_against_a_count_by_hand(cases):
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
    found = LABELS.error_sums(
        one_hot_logits([padded(answer) for _, answer, _ in cases]),
        np.array([padded(truth) for truth, _, _ in cases]),
        np.array([counted for *_, counted in cases], np.float32),
    )
    assert found["digits"] == counts["digits"]
    assert found["wrong_digits"] == counts["wrong_digits"]
    np.testing.assert_array_equal(found["examples_by_length"], counts["examples"])
    np.testing.assert_array_equal(found["wrong_by_length"], counts["wrong"])


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ([1, 2, 3, 4, 5], "12345"),
        ([0, 3, 10, 10, 10], "03"),
        ([10, 10, 10, 10, 10], "-"),
        ([1, 10, 2, 10, 10], "1_2"),
        ([10, 1, 10, 10, 10], "_1"),
    ],
)
def test_no_two_labels_have_the_same_text(label, text):
    assert LABELS.texts(np.array([label])) == [text]


def test_numbers_are_grouped_by_how_many_digits_they_have():
    numbers = np.array([[1, 2, 10, 10, 10], [10] * 5, [1, 2, 3, 4, 5]])
    np.testing.assert_array_equal(LABELS.groups(numbers), [2, 0, 5])


def test_details_are_errors_in_per_cent_for_one_seed_and_for_many():
    sums = {
        "digits": np.array(8.0),
        "wrong_digits": np.array(2.0),
        "examples_by_length": np.array([0, 4, 0, 2, 0, 0.0]),
        "wrong_by_length": np.array([0, 1, 0, 2, 0, 0.0]),
    }
    expected = {
        "digit_error_percent": 25,
        "error_percent_length_1": 25,
        "error_percent_length_3": 100,
    }
    assert LABELS.error_details(sums) == expected
    stacked = {name: np.stack([value, value]) for name, value in sums.items()}
    for name, value in LABELS.error_details(stacked).items():
        np.testing.assert_array_equal(value, [expected[name]] * 2)
