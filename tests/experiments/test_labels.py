import numpy as np

from stn_jax.experiments.labels import ClassLabels

LABELS = ClassLabels(tuple("abcdefghij"), "letter")


def test_loss_and_error_against_their_definitions():
    logits = np.random.default_rng(0).normal(size=(7, 10)).astype(np.float32)
    labels = np.arange(7)
    odds = np.exp(logits.astype(np.float64))
    expected = -np.log(odds[np.arange(7), labels] / odds.sum(axis=1))
    np.testing.assert_allclose(LABELS.loss(logits, labels), expected, rtol=1e-5)
    np.testing.assert_array_equal(LABELS.is_wrong(logits, labels), logits.argmax(1) != labels)


def test_a_label_is_its_own_group_and_has_the_name_of_its_class():
    labels = np.array([3, 1, 4], np.int32)
    assert LABELS.texts(labels) == ["d", "b", "e"]
    np.testing.assert_array_equal(LABELS.groups(labels), labels)
