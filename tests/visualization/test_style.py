import numpy as np
import pytest
from matplotlib.figure import Figure

from stn_jax.transforms import affine_grid, regular_grid
from stn_jax.visualization import draw_grid
from stn_jax.visualization.style import line_style, show_image
from tests.visualization.drawn import pixels, shown_images


def drawn_lines(grid, shape):
    axis = Figure().subplots()
    draw_grid(axis, np.asarray(grid), shape)
    return [np.asarray(path.vertices) for lines in axis.collections for path in lines.get_paths()]


def test_the_identity_grid_is_drawn_through_pixel_centres():
    points = np.concatenate(drawn_lines(regular_grid((9, 12)), (9, 12)))
    np.testing.assert_allclose(points.min(axis=0), [0, 0], atol=1e-5)
    np.testing.assert_allclose(points.max(axis=0), [11, 8], atol=1e-5)


def test_a_zoom_is_drawn_as_the_part_that_is_read():
    theta = np.array([[0.5, 0, 0.5], [0, 0.5, 0.5]], np.float32)  # the lower right quarter
    points = np.concatenate(drawn_lines(affine_grid(theta, (20, 20)), (20, 20)))
    assert points.min() >= 9.5
    assert points.max() <= 19.5


def test_a_grid_that_leaves_the_image_is_seen_beyond_it():
    axis = Figure().subplots()
    grid = np.asarray(affine_grid(np.array([[1.2, 0, 0], [0, 1.2, 0]], np.float32), (10, 20)))
    draw_grid(axis, grid, (10, 20))
    points = np.concatenate([path.vertices for x in axis.collections for path in x.get_paths()])
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    assert points[:, 0].min() < -0.5 and points[:, 0].max() > 19.5
    assert left <= points[:, 0].min() and points[:, 0].max() <= right
    assert top <= points[:, 1].min() and points[:, 1].max() <= bottom


@pytest.mark.parametrize("shade", [0.0, 0.5, 1.0])
def test_a_grid_is_seen_over_every_shade(shade):
    """At least a tenth of the pixels differ from the background by a third of the range."""
    figure = Figure(figsize=(1.1, 1.1), dpi=100)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.imshow(np.full((28, 28), shade), cmap="gray", vmin=0, vmax=1)
    draw_grid(axis, np.asarray(regular_grid((28, 28))), (28, 28))
    contrast = np.abs(pixels(figure) / 255 - shade)
    assert np.mean(contrast > 1 / 3) > 0.1


def test_a_grid_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\[H', W', 2\], got \(5, 2\)"):
        draw_grid(Figure().subplots(), np.zeros((5, 2)), (5, 5))


def test_feature_maps_are_shown_as_the_mean_over_channels_in_another_images_range():
    figure = Figure()
    features = np.stack([np.full((4, 4), 2.0), np.full((4, 4), 4.0)], -1)
    show_image(figure.subplots(), features, like=np.array([1.0, 5.0]).reshape(1, 2, 1))
    np.testing.assert_allclose(shown_images(figure)[0], 0.5)


def test_an_image_of_one_value_is_shown():
    figure = Figure()
    show_image(figure.subplots(), np.full((4, 4, 3), 7.0))
    np.testing.assert_array_equal(shown_images(figure)[0], 0)


def test_lines_differ_in_colour_or_dashes():
    assert len({tuple(line_style(number).values()) for number in range(28)}) == 28
