"""Programs that are exported for any batch size, and for images of any size."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from stn_jax import linen, spatial_transform
from stn_jax.errors import UserError
from stn_jax.sampling import sample, spline_coefficients

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(3, 28, 28, 1)).astype(np.float32)
THETA = RNG.normal(size=(3, 2, 3)).astype(np.float32)
GRIDS = RNG.uniform(-1.2, 1.2, (3, 4, 5, 2)).astype(np.float32)


def assert_export_agrees(function, operands, shapes, *others):
    """Exports `function` for `shapes`, such as "b, 4, 5", and compares the results.

    `others` are further operands to call the exported program with.
    """
    scope = export.SymbolicScope()
    symbolic = [
        jax.ShapeDtypeStruct(export.symbolic_shape(shape, scope=scope, like=x.shape), x.dtype)
        for x, shape in zip(operands, shapes, strict=True)
    ]
    exported = export.export(jax.jit(function))(*symbolic)
    for given in (operands, *others):
        expected = jax.jit(function)(*given)
        chex.assert_trees_all_close(exported.call(*given), expected, atol=1e-4)


def value_and_gradients(function):
    def run(*operands):
        value, back = jax.vjp(function, *operands)
        return value, back(jnp.cos(value))

    return run


def test_any_batch_size():
    function = value_and_gradients(lambda *args: spatial_transform(*args, "affine")[0])
    assert_export_agrees(function, (IMAGES, THETA), ("b, ...", "b, ..."))


def test_any_number_of_grids_for_one_image():
    function = value_and_gradients(jax.vmap(sample, (None, 0)))
    assert_export_agrees(function, (IMAGES[0], GRIDS), ("...", "b, h, w, _"))


@pytest.mark.parametrize("method", ["nearest", "linear", "cubic", "bspline2"])
def test_any_size_of_the_image_and_the_grid(method):
    function = functools.partial(sample, method=method)
    assert_export_agrees(function, (IMAGES[0], GRIDS[0]), ("h, w, _", "i, j, _"))


@pytest.mark.parametrize(
    ("padding", "align_corners", "options"),
    [
        ("reflection", False, {"antialias": 1}),
        ("reflection", True, {}),
        ("wrap", False, {"method": "bspline2"}),
    ],
)
def test_any_size_with_each_padding(padding, align_corners, options):
    function = functools.partial(sample, padding=padding, align_corners=align_corners, **options)
    small = IMAGES[0, :2, :1], GRIDS[0, :1]  # smaller than the margins of the kernels
    assert_export_agrees(function, (IMAGES[0], GRIDS[0]), ("h, w, _", "i, j, _"), small)


def test_gradients_for_any_size_under_reflection():
    function = value_and_gradients(functools.partial(sample, padding="reflection"))
    assert_export_agrees(function, (IMAGES[0], GRIDS[0]), ("h, w, _", "i, j, _"))


def test_coefficients_of_any_size_are_refused():
    with pytest.raises(UserError, match=r"got \(h, w, 1\): compute the coefficients outside"):
        assert_export_agrees(lambda image: spline_coefficients(image, 3), IMAGES[:1], ("h, w, _",))


def test_a_network_for_any_batch_size():
    network = linen.SpatialTransformer(linen.ConvLocalisation("affine"))
    variables = network.init(jax.random.key(0), IMAGES)

    def function(images):
        dropped = linen.Dropout(0.5).apply({}, images, True, rngs={"dropout": jax.random.key(1)})
        return network.apply(variables, dropped)

    assert_export_agrees(function, (IMAGES,), ("b, ...",))
