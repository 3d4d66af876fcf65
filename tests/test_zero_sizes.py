"""Arrays without elements, and images of one pixel: a result of the right shape, or one line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stn_jax import functional, linen, spatial_transform
from stn_jax import nnx as stn_nnx
from stn_jax.errors import UserError
from stn_jax.sampling import PADDINGS, sample
from stn_jax.transforms import make_family


def forward_and_backward(function, *arrays):
    """Returns the value, after checking the gradients' shapes and that all numbers are finite."""

    @jax.jit
    def run(*arrays):
        value, back = jax.vjp(function, *arrays)
        return value, back(jnp.ones_like(value))

    value, gradients = run(*map(jnp.asarray, arrays))
    assert [g.shape for g in gradients] == [np.shape(a) for a in arrays]
    assert all(np.all(np.isfinite(x)) for x in (value, *gradients))
    return value


@pytest.mark.parametrize(
    ("method", "padding"),
    [("nearest", "zeros"), *(("bilinear", p) for p in PADDINGS), ("bicubic", "border")],
)
@pytest.mark.parametrize(
    ("image", "grid"),
    [
        ((4, 5, 0), (3, 3, 2)),
        ((4, 5, 2), (3, 0, 2)),
        ((1, 1, 0), (0, 0, 2)),
        ((1, 1, 1), (2, 3, 2)),
    ],
)
@pytest.mark.parametrize("batch", [(), (0,)])
def test_samples(batch, image, grid, method, padding):
    def read(image, grid):
        return sample(image, grid, method=method, padding=padding)

    arrays = np.ones((*batch, *image)), np.zeros((*batch, *grid))
    outputs = forward_and_backward(jax.vmap(read) if batch else read, *arrays)
    assert outputs.shape == (*batch, *grid[:2], image[2])


@pytest.mark.parametrize("shape", [(0, 5, 1), (5, 0, 1), (0, 0, 0)])
def test_an_image_without_pixels_is_refused(shape):
    with pytest.raises(ValueError, match=r"shape .*\(H, W, C\).* with pixels in it, got \("):
        sample(np.ones(shape), np.zeros((2, 2, 2)))


@pytest.mark.parametrize("family", ["similarity", "tps"])
@pytest.mark.parametrize("images", [(0, 4, 5, 1), (2, 4, 5, 0), (2, 1, 1, 1), (0, 1, 1, 0)])
def test_transforms(images, family):
    identity = jnp.array(make_family(family).identity)
    theta = jnp.tile(identity, (images[0], 1))

    def warp(images, theta):
        return spatial_transform(images, theta, family, output_shape=(1, 1))[0]

    assert forward_and_backward(warp, np.ones(images), theta).shape == (images[0], 1, 1, images[3])
    with pytest.raises(ValueError, match="two positive integers"):
        spatial_transform(np.ones(images), theta, family, output_shape=(0, 3))


@pytest.mark.parametrize(
    ("inputs", "kernel"),
    [
        ((0, 6, 6, 2), (3, 3, 2, 4)),
        ((2, 6, 6, 0), (3, 3, 0, 4)),
        ((2, 6, 6, 2), (3, 3, 2, 0)),
        ((0, 6, 6, 0), (3, 3, 0, 0)),
        ((2, 1, 1, 2), (1, 1, 2, 3)),
    ],
)
def test_convolutions(inputs, kernel):
    outputs = forward_and_backward(functional.convolution, np.ones(inputs), np.ones(kernel))
    size = inputs[1] - kernel[0] + 1
    assert outputs.shape == (inputs[0], size, size, kernel[3])


@pytest.mark.parametrize("shape", [(0, 4, 4, 2), (2, 4, 4, 0), (2, 0, 3, 1), (2, 1, 1, 1)])
def test_pooling(shape):
    expected = (shape[0], -(-shape[1] // 2), -(-shape[2] // 2), shape[3])
    assert forward_and_backward(functional.max_pool_2x2, np.ones(shape)).shape == expected


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(0, 4), (2, 0), (0,)])
def test_dropout(shape, rate):
    def drop(x):
        return linen.Dropout(rate).apply({}, x, True, rngs={"dropout": jax.random.key(0)})

    assert forward_and_backward(drop, np.ones(shape)).shape == shape


def transformers(images, name, **options):
    """Yields the Linen and the NNX transformer for `images`, as functions."""
    module = linen.SpatialTransformer(getattr(linen, name)("affine", **options))
    variables = module.init(jax.random.key(0), images)
    yield lambda images: module.apply(variables, images)
    network = getattr(stn_nnx, name)(images.shape[1:], "affine", **options, rngs=nnx.Rngs(0))
    yield stn_nnx.SpatialTransformer(network)


SMALL = {"filters": (2,), "features": (3,), "downsample": 1, "padding": "SAME"}


@pytest.mark.parametrize("shape", [(0, 5, 6, 1), (2, 1, 1, 1)])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("FullyConnectedLocalisation", {}),
        ("FullyConnectedLocalisation", {"features": ()}),
        ("ConvLocalisation", SMALL),
        ("ConvLocalisation", SMALL | {"filters": (), "features": ()}),
    ],
)
def test_networks(name, options, shape):
    for transform in transformers(jnp.ones(shape), name, **options):
        assert forward_and_backward(transform, np.ones(shape)).shape == shape


@pytest.mark.parametrize(
    ("name", "options", "shape", "message"),
    [
        ("FullyConnectedLocalisation", {}, (2, 5, 6, 0), r"at least 1, got .* = \(5, 6, 0\)"),
        ("FullyConnectedLocalisation", {"features": (0,)}, (2, 5, 6, 1), r"features=\(0,\)"),
        ("ConvLocalisation", SMALL, (2, 0, 6, 1), r"at least 1, got .* = \(0, 6, 1\)"),
        ("ConvLocalisation", SMALL | {"filters": (0,)}, (2, 5, 6, 1), r"filters=\(0,\)"),
        ("ConvLocalisation", SMALL | {"downsample": 0}, (2, 5, 6, 1), "downsample=0"),
        ("ConvLocalisation", SMALL | {"downsample": 9}, (2, 5, 6, 1), "downsampled by 9"),
        ("ConvLocalisation", SMALL | {"padding": "FULL"}, (2, 5, 6, 1), "unknown padding 'FULL'"),
    ],
)
def test_networks_that_cannot_be_made_are_refused(name, options, shape, message):
    with pytest.raises(UserError, match=message) as error:
        getattr(linen, name)("affine", **options).init(jax.random.key(0), jnp.ones(shape))
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=message):
        getattr(stn_nnx, name)(shape[1:], "affine", **options, rngs=nnx.Rngs(0))
