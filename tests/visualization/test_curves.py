import numpy as np
import pytest

from stn_jax.visualization import draw_curves
from tests.visualization.drawn import texts


def lines(figure):
    return [np.asarray(line.get_xydata()) for line in figure.axes[0].lines]


def test_curves_go_through_their_values_and_are_named():
    curves = {"one": (np.arange(3), np.array([3, 2, 1])), "two": ([0, 4], [1, 5])}
    figure = draw_curves(curves, title="Test error", ylabel="error (%)")
    first, second = lines(figure)
    np.testing.assert_array_equal(first, [[0, 3], [1, 2], [2, 1]])
    np.testing.assert_array_equal(second, [[0, 1], [4, 5]])
    assert {"one", "two", "Test error", "error (%)", "training step"} <= set(texts(figure))


def test_a_logarithmic_scale_has_powers_of_ten_at_equal_distances():
    figure = draw_curves({"one": ([0, 1, 2], [1, 0.1, 0.01])}, title="", ylabel="", log=True)
    (axis,) = figure.axes
    heights = axis.transData.transform(lines(figure)[0])[:, 1]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2])


def test_curves_that_cannot_be_drawn_are_refused():
    with pytest.raises(ValueError, match="steps 2, values 3"):
        draw_curves({"one": ([0, 1], [1, 2, 3])}, title="", ylabel="")
    with pytest.raises(ValueError, match="no curve"):
        draw_curves({}, title="", ylabel="")
