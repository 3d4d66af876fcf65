import numpy as np
import pytest

from stn_jax.visualization import draw_class_means, draw_confusion
from tests.visualization.drawn import pixels, shown_images, texts, transformed


def test_class_means_are_those_of_each_class():
    images, _, outputs = transformed(6)
    labels = np.array([3, 5, 3, 5, 5, 3])
    figure = draw_class_means(images, outputs, labels)
    drawn = shown_images(figure)
    assert [image.shape for image in drawn] == [(12, 12)] * 2 + [(6, 6)] * 2
    expected = images[labels == 5].mean(axis=(0, -1))
    assert np.corrcoef(drawn[1].ravel(), expected.ravel())[0, 1] > 0.9999
    assert "5  (n = 3)" in texts(figure)
    named = draw_class_means(images, outputs, np.where(labels == 5, "other prohibitory", "unique"))
    assert "other\nprohibitory\n(n = 3)" in texts(named)


def test_a_sharp_mean_is_brighter_than_a_blurred_one():
    images = np.zeros((2, 4, 4, 1), np.float32)
    images[0, 1, 1] = images[1, 2, 2] = 1
    outputs = np.zeros((2, 4, 4, 1), np.float32)
    outputs[:, 1, 1] = 1
    blurred, sharp = shown_images(draw_class_means(images, outputs, np.zeros(2, int)))
    assert blurred.max() == 0.5
    assert sharp.max() == 1


def test_a_confusion_matrix_says_all_counts_but_zeros():
    counts = np.array([[9, 0, 1], [0, 0, 0], [2, 0, 8]])
    figure = draw_confusion(counts, ["a", "b", "c"])
    written = texts(figure)
    assert {"9", "2", "8", "a", "b", "c", "3 of 20 wrong"} <= set(written)
    np.testing.assert_allclose(shown_images(figure)[0], [[90, 0, 10], [0, 0, 0], [20, 0, 80]])


def test_many_classes_with_long_names_are_drawn_smaller_and_their_names_upwards():
    names = [f"the sign of number {number}" for number in range(43)]
    counts = np.diag(np.arange(43))
    figure = draw_confusion(counts, names)
    assert set(names) <= set(texts(figure))
    assert {label.get_rotation() for label in figure.axes[0].get_xticklabels()} == {90}
    inside = figure.bbox
    for label in (*figure.axes[0].get_xticklabels(), *figure.axes[0].get_yticklabels()):
        box = label.get_window_extent()
        assert inside.contains(*box.min) and inside.contains(*box.max)
    assert pixels(figure).shape < (1600, 1600)


def test_counts_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 2\) for 2 class names, got \(3, 3\)"):
        draw_confusion(np.eye(3), ["a", "b"])
