import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from stn_jax.experiments.robustness.moves import Move, move_image, move_images

jitted = jax.jit(move_image)
move_images = jax.jit(move_images)
RNG = np.random.default_rng(0)


def move(image, rotation=0.0, scale=1.0, shift=(0.0, 0.0)):
    image = jnp.asarray(image, jnp.float32)
    return np.asarray(jitted(image, rotation=rotation, scale=scale, shift=jnp.array(shift)))


@pytest.mark.parametrize("shape", [(12, 12, 3), (9, 14, 2), (1, 5, 1)])
def test_moves_agree_with_scipy(shape):
    image = RNG.uniform(size=shape)
    for rotation, scale, right, down in [(20, 0.5, 0, 0), (-75, 1.5, 3, -2), (30, 0.8, -1.5, 2.25)]:
        cos, sin = np.cos(np.deg2rad(rotation)), np.sin(np.deg2rad(rotation))
        # In (row, column): counter-clockwise on the screen, whose rows go down.
        backwards = np.linalg.inv(scale * np.array([[cos, -sin], [sin, cos]]))
        centre = (np.array(shape[:2]) - 1) / 2
        offset = centre - backwards @ (centre + np.array([down, right]))
        channels = [
            scipy.ndimage.affine_transform(channel, backwards, offset, order=1, mode="nearest")
            for channel in np.moveaxis(image, -1, 0)
        ]
        moved = move(image, rotation, scale, (right, down))
        np.testing.assert_allclose(moved, np.stack(channels, axis=-1), atol=1e-4)


def test_a_quarter_turn_is_counter_clockwise():
    image = RNG.uniform(size=(12, 12, 3))
    np.testing.assert_allclose(move(image, rotation=90), np.rot90(image), atol=1e-4)


def test_a_shift_by_whole_pixels_repeats_the_border():
    image = RNG.uniform(size=(8, 10, 1))
    expected = np.pad(image, ((0, 3), (2, 0), (0, 0)), "edge")[3:, :10]
    np.testing.assert_allclose(move(image, shift=(2, -3)), expected, atol=1e-5)


def test_no_move_changes_nothing():
    images = RNG.uniform(size=(5, 16, 16, 1)).astype(np.float32)
    moved = move_images(jnp.asarray(images), jnp.arange(5), Move())
    np.testing.assert_allclose(moved, images, atol=1e-5)


def centres(images):
    """Returns the centre of mass of each image, (x, y) about the middle of the image."""
    images = np.asarray(images)[..., 0]
    y, x = np.mgrid[: images.shape[1], : images.shape[2]]
    mass = images.sum(axis=(1, 2))
    middle = (np.array(images.shape[2:0:-1]) - 1) / 2
    return np.stack([(images * axis).sum(axis=(1, 2)) / mass for axis in (x, y)], -1) - middle


def spots(count, x, y):
    rows, columns = np.mgrid[:41, :61]
    spot = np.exp(-((columns - 30 - x) ** 2 + (rows - 20 - y) ** 2) / 8).astype(np.float32)
    return jnp.broadcast_to(spot[None, ..., None], (count, 41, 61, 1))


def test_half_of_the_images_turn_to_each_side():
    moved = centres(move_images(spots(200, 10, 0), jnp.arange(200), Move(rotation=40)))
    angles = np.rad2deg(np.arctan2(moved[:, 1], moved[:, 0]))
    np.testing.assert_allclose(np.abs(angles), 40, atol=0.5)
    assert 80 <= np.sum(angles > 0) <= 120


def test_images_are_shifted_as_far_into_all_directions():
    moved = centres(move_images(spots(200, 0, 0), jnp.arange(200), Move(shift=10)))
    np.testing.assert_allclose(np.hypot(*moved.T), 6.1, atol=0.05)
    directions = np.arctan2(moved[:, 1], moved[:, 0])
    counts, _ = np.histogram(directions, 4, (-np.pi, np.pi))
    assert counts.min() >= 30


def test_an_image_is_moved_in_the_same_way_in_whatever_batch():
    images = jnp.asarray(RNG.uniform(size=(5, 16, 16, 1)), jnp.float32)
    ids, order = jnp.arange(100, 105), np.array([3, 0, 4])
    whole = move_images(images, ids, Move(rotation=25, shift=20))
    part = move_images(images[order], ids[order], Move(rotation=25, shift=20))
    np.testing.assert_allclose(part, whole[order], atol=1e-6)
