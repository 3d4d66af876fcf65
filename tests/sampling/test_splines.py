"""Tests the coefficients of B-splines, and B-splines through an image, against SciPy."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from stn_jax.sampling import PADDINGS, sample, spline_coefficients
from stn_jax.sampling.windows import SPLINE_ORDERS as ORDERS

MODES = {
    ("reflection", False): "reflect",
    ("reflection", True): "mirror",
    ("wrap", False): "grid-wrap",
}
"""Those of SciPy, by padding and align_corners."""


@pytest.mark.parametrize("sizes", [(1,), (700,), (4, 6)])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("order", ORDERS)
def test_the_spline_has_the_values_of_the_image_at_its_pixels(order, padding, sizes):
    with jax.enable_x64(True):
        image = np.random.default_rng(0).normal(size=(*sizes, 2))
        pixels = np.stack(np.meshgrid(*map(np.arange, sizes), indexing="ij")[::-1], axis=-1)
        options = dict(padding=padding, align_corners=order % 2 == 0)
        coefficients = spline_coefficients(image, order, **options)
        options |= dict(method=f"bspline{order}", coordinates="pixels")
        values = sample(coefficients, pixels.astype(float), **options)
        chex.assert_trees_all_close(np.asarray(values), image, atol=1e-11)


@pytest.mark.parametrize("sizes", [(1200,), (31, 40)])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("padding", "align_corners"), MODES)
def test_agrees_with_scipy(padding, align_corners, order, sizes):
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        image = rng.normal(size=sizes)
        points = rng.uniform(-30, np.array(sizes[::-1]) + 30, (60, len(sizes)))
        options = dict(padding=padding, align_corners=align_corners)
        coefficients = spline_coefficients(image[..., None], order, **options)
        options |= dict(method=f"bspline{order}", coordinates="pixels")
        values = sample(coefficients, points, **options)[:, 0]
        mode = MODES[padding, align_corners]
        expected = ndimage.map_coordinates(image, points[:, ::-1].T, order=order, mode=mode)
        # SciPy starts its recursion with a sum that it cuts off.
        chex.assert_trees_all_close(np.asarray(values), expected, atol=1e-9)


def test_coefficients_are_linear_and_keep_their_precision():
    image = jnp.asarray(np.random.default_rng(2).normal(size=(6, 5, 2)), jnp.float32)
    (transposed,) = jax.linear_transpose(lambda x: spline_coefficients(x, 3), image)(image)
    np.testing.assert_allclose(
        jnp.vdot(transposed, image), jnp.vdot(image, spline_coefficients(image, 3)), rtol=1e-5
    )
    assert spline_coefficients(image.astype(jnp.bfloat16), 3).dtype == jnp.float32


@pytest.mark.parametrize(
    ("order", "padding", "message"), [(1, "zeros", r"\(2, 3, 4, 5\), got 1"), (3, "", "wrap.*''")]
)
def test_what_cannot_be_used_is_named(order, padding, message):
    with pytest.raises(ValueError, match=message):
        spline_coefficients(jnp.ones((3, 3, 1)), order, padding=padding)
