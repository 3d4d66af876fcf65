import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from stn_jax.linen import Conv


def assert_is_flax_convolution(shape, *args, **kwargs):
    inputs = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    ours, theirs = Conv(*args, **kwargs), nn.Conv(*args, **kwargs)
    # Without jit, so that tests share compiled programs.
    variables = theirs.init(jax.random.key(0), inputs)
    chex.assert_trees_all_equal(ours.init(jax.random.key(0), inputs), variables)
    expected = theirs.apply(variables, inputs)
    chex.assert_trees_all_close(ours.apply(variables, inputs), expected, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        dict(padding="VALID"),
        dict(padding="SAME"),
        dict(padding="SAME", kernel_size=(4, 2)),
        dict(padding=((0, 2), (2, 1))),
        dict(padding=((0, 2), (3, 1))),
        dict(padding="CIRCULAR"),
        dict(use_bias=False),
        dict(strides=2),
        dict(strides=(1, 2), padding="VALID"),
        dict(kernel_dilation=2),
        dict(input_dilation=(2, 1), padding=1),
        dict(feature_group_count=2),
    ],
    ids=str,
)
def test_conv_has_the_parameters_and_results_of_flax(options):
    kernel_size = options.pop("kernel_size", (3, 3))
    assert_is_flax_convolution((2, 7, 8, 4), 6, kernel_size, **options)


@pytest.mark.parametrize(("shape", "kernel"), [((2, 9, 3), (3,)), ((7, 8, 3), (3, 3))])
def test_conv_in_one_dimension_and_on_a_single_image(shape, kernel):
    assert_is_flax_convolution(shape, 4, kernel)


@pytest.mark.parametrize(("options", "ours"), [({}, True), ({"strides": 2}, False)])
def test_a_convolution_without_strides_is_our_own(options, ours):
    program = jax.make_jaxpr(Conv(2, (3, 3), **options).init)
    text = str(program(jax.random.key(0), jnp.zeros((1, 6, 6, 1))))
    assert ("convolution[" in text, "conv_general_dilated" in text) == (ours, not ours)
