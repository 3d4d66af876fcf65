"""Tests of the spatial transformer as a function, without a module system."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax
from stn_jax.functional import spatial_transform
from stn_jax.transforms import FAMILIES, make_family

IMAGES = np.random.default_rng(0).normal(size=(3, 7, 12, 2)).astype(np.float32)


def nearby_params(family, dtype=np.float32):
    noise = np.random.default_rng(1).normal(size=(len(IMAGES), family.num_params))
    return (np.array(family.identity) + 0.1 * noise).astype(dtype)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_is_the_grid_and_then_the_sampler_image_by_image(name, align_corners):
    family, params = make_family(name), nearby_params(make_family(name))
    options = {"method": "bicubic", "padding": "reflection", "align_corners": align_corners}
    outputs, grids = jax.jit(
        lambda images, theta: spatial_transform(images, theta, name, output_shape=(5, 4), **options)
    )(IMAGES, params)
    for image, one, output, grid in zip(IMAGES, params, outputs, grids, strict=True):
        expected = family.sampling_grid(
            one, (5, 4), source_shape=(7, 12), align_corners=align_corners
        )
        chex.assert_trees_all_close(grid, expected, atol=1e-6)
        chex.assert_trees_all_close(output, stn_jax.sample(image, expected, **options), atol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_flat_theta_means_the_same_and_the_default_shape_is_the_inputs(name):
    family = make_family(name)
    params = nearby_params(family)
    flat, _ = spatial_transform(IMAGES, params, family)
    shaped, grids = spatial_transform(IMAGES, jax.vmap(family.theta)(params), name)
    chex.assert_trees_all_equal(flat, shaped)
    chex.assert_shape(grids, (3, 7, 12, 2))


def test_a_turn_onto_another_aspect_ratio_does_not_shear():
    """A round spot in a wide image stays round in a square output."""
    y, x = np.mgrid[:40, :80] + 0.5
    spot = np.exp(-((x - 40) ** 2 + (y - 20) ** 2) / 50).astype(np.float32)[None, :, :, None]
    quarter_turn = jnp.array([[1.0, np.pi / 2, 0.0, 0.0]])
    turned, _ = spatial_transform(spot, quarter_turn, "similarity", output_shape=(80, 80))
    plain, _ = spatial_transform(
        spot, jnp.array([[1.0, 0.0, 0.0, 0.0]]), "similarity", output_shape=(80, 80)
    )
    sizes = []
    for picture in (np.asarray(turned)[0, ..., 0], np.asarray(plain)[0, ..., 0]):
        weights = picture / picture.sum()
        rows, columns = np.mgrid[:80, :80] + 0.5
        # Output pixels are half as high as source pixels, and equally wide.
        sizes.append((np.sum(weights * (rows - 40) ** 2), np.sum(weights * (columns - 40) ** 2)))
    (turned_rows, turned_columns), (rows, columns) = sizes
    np.testing.assert_allclose((turned_rows, turned_columns), (rows, columns), rtol=5e-3)


def test_gradients_reach_images_and_theta():
    theta = nearby_params(make_family("affine"))

    def loss(images, theta):
        return jnp.sum(jnp.sin(spatial_transform(images, theta)[0]))

    for gradient in jax.grad(loss, argnums=(0, 1))(IMAGES, theta):
        assert np.all(np.isfinite(gradient)) and np.any(gradient)


@pytest.mark.parametrize(
    ("images", "theta", "family", "message"),
    [
        (IMAGES[0], np.zeros((7, 6)), "affine", r"images must have shape \(B, H, W, C\), got"),
        (IMAGES[0], np.zeros((7, 6)), "affine", r"pass images\[..., None\]"),
        (IMAGES[0, ..., :1], np.zeros((7, 6)), "affine", r"pass image\[None\] for one image"),
        (IMAGES, np.zeros((2, 6)), "affine", r"theta must start with the batch size .* 3, got"),
        (IMAGES, np.zeros((2, 3)), "affine", r"pass jnp.broadcast_to\(theta, \(3, 2, 3\)\)"),
        (IMAGES, np.zeros((3, 5)), "affine", r"affine theta must have shape \(2, 3\) or \(6,\)"),
        (IMAGES, np.zeros((3, 6)), "afine", "did you mean 'affine'"),
    ],
)
def test_wrong_arguments_are_refused(images, theta, family, message):
    with pytest.raises(ValueError, match=message):
        spatial_transform(images, theta, family)
