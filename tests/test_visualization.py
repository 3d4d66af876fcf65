import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from stn_jax.transforms import affine_grid, regular_grid
from stn_jax.visualization import draw_grid, draw_samples


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


def test_samples_are_written_with_and_without_a_transformer(tmp_path):
    images = np.random.default_rng(0).uniform(size=(11, 28, 28, 1)).astype(np.float32)
    grids = np.stack([regular_grid((14, 14))] * 11)
    probabilities = np.eye(10)[np.arange(11) % 10]
    labels = np.arange(11) % 9
    sizes = []
    for outputs, grid in ((images[:, ::2, ::2], grids), (None, None)):
        path = tmp_path / "figures" / "samples.png"
        draw_samples(path, images, outputs, grid, labels=labels, probabilities=probabilities)
        with Image.open(path) as picture:
            assert np.asarray(picture.convert("L")).std() > 10
            sizes.append(picture.size)
    assert sizes[0][1] > 2 * sizes[1][1]
    assert [file.name for file in path.parent.iterdir()] == ["samples.png"]
