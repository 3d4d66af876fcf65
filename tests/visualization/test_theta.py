import numpy as np
import pytest

from stn_jax.transforms.tps import control_points
from stn_jax.visualization import draw_theta_history
from tests.visualization.drawn import texts

STEPS, LABELS = np.array([0, 10, 20]), np.array([0, 0, 1, 1, 1])
THETAS = np.random.default_rng(0).normal(size=(3, 5, 40))
NAMES = [f"parameter {number} (radians)" for number in range(40)]


@pytest.mark.parametrize("num_params", [1, 6, 10])
def test_each_parameter_has_a_panel_with_its_mean_and_its_class_means(num_params):
    thetas = THETAS[..., :num_params]
    names = NAMES[:num_params]
    figure = draw_theta_history(STEPS, thetas, LABELS, names)
    panels = [axis for axis in figure.axes if axis.lines]
    assert len(panels) == num_params
    for number, axis in enumerate(panels):
        drawn = {line.get_label(): line.get_ydata() for line in axis.lines}
        np.testing.assert_allclose(drawn["mean"], thetas[..., number].mean(axis=1))
        np.testing.assert_allclose(drawn["class 1"], thetas[:, 2:, number].mean(axis=1))
        assert axis.get_ylabel() == names[number]
    assert "training step" in texts(figure)


def test_control_points_are_drawn_where_they_are_read_and_how_far_they_went():
    thetas = np.broadcast_to(control_points(3).ravel(), (3, 5, 18)).copy()
    thetas[2, :, 0::2] += 0.3  # x
    thetas[2, :, 1::2] += 0.4  # y
    figure = draw_theta_history(STEPS, thetas, LABELS, NAMES[:18])
    where, how_far = figure.axes
    paths = [line.get_xydata() for line in where.lines if line.get_linestyle() == "-"]
    assert len(paths) == 9
    np.testing.assert_allclose(paths[0], [[-1, -1], [-1, -1], [-0.7, -0.6]])
    distance = {line.get_label(): line.get_ydata() for line in how_far.lines}["mean"]
    np.testing.assert_allclose(distance, [0, 0, 0.5], atol=1e-12)


def test_thetas_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\[T, N, P\], got \(3, 40\)"):
        draw_theta_history(STEPS, THETAS[:, 0], LABELS, NAMES)
    with pytest.raises(ValueError, match="steps 2, thetas 3"):
        draw_theta_history(STEPS[:2], THETAS, LABELS, NAMES)
    with pytest.raises(ValueError, match="examples 5, labels 4"):
        draw_theta_history(STEPS, THETAS, LABELS[:4], NAMES)
    with pytest.raises(ValueError, match="parameters 40, names 1"):
        draw_theta_history(STEPS, THETAS, LABELS, ["a"])


@pytest.mark.parametrize("num_params", [1, 2, 3, 6, 8, 32])
def test_the_legend_of_ten_classes_lies_within_the_figure(num_params):
    names = NAMES[:num_params]
    figure = draw_theta_history(STEPS, np.ones((3, 10, num_params)), np.arange(10), names)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= box.y0 and box.y1 < figure.axes[0].bbox.y0
