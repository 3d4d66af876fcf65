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


def test_samples_are_written_whatever_the_number_of_transformers(tmp_path):
    images = np.random.default_rng(0).uniform(-1, 1, size=(11, 28, 28, 3)).astype(np.float32)
    features = images.repeat(4, axis=-1)
    grids = np.stack([regular_grid((14, 14))] * 11)
    first, second = (images, grids, images[:, ::2]), (features, grids, features[:, ::2])
    sizes = []
    for transformers in ([], [first], [first, second]):
        path = tmp_path / "figures" / "samples.png"
        draw_samples(
            path,
            images,
            transformers,
            answers=["7", "12345"] * 5 + ["-"],
            labels=["7"] * 11,
            probabilities=np.linspace(0, 1, 11),
        )
        with Image.open(path) as picture:
            assert np.asarray(picture.convert("L")).std() > 10
            sizes.append(picture.size)
    assert 2 * sizes[0][1] < sizes[1][1] < sizes[2][1]
    assert [file.name for file in path.parent.iterdir()] == ["samples.png"]
