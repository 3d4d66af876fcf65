import chex
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from flax import linen as nn
from jax import lax

from stn_jax.modules.convolution import _MIN_ROW_LENGTH, Conv, matmul_convolution


def native_convolution(inputs, kernel):
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(inputs, kernel, (1, 1), "VALID", dimension_numbers=numbers)


def values_and_gradients(convolution, inputs, kernel):
    """Convolution, and its gradients for a cotangent that differs from place to place."""

    @jax.jit
    def run(inputs, kernel):
        outputs, back = jax.vjp(convolution, inputs, kernel)
        return outputs, back(
            jnp.sin(jnp.arange(outputs.size, dtype=outputs.dtype)).reshape(outputs.shape)
        )

    return run(inputs, kernel)


# One value per pixel or many: the rows of patches are short, then long.
@pytest.mark.parametrize("channels", [(1, 2, 3), (_MIN_ROW_LENGTH, _MIN_ROW_LENGTH + 1)])
@hypothesis.settings(max_examples=4, deadline=None)
@hypothesis.given(data=st.data())
def test_agrees_with_the_native_convolution_and_its_gradients(channels, data):
    small = st.integers(1, 5)
    kernel_shape = data.draw(st.tuples(small, small, st.sampled_from(channels), small))
    margins = data.draw(st.tuples(st.integers(0, 6), st.integers(0, 6)))
    batch = data.draw(st.integers(1, 3))
    height, width = np.add(kernel_shape[:2], margins)
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        inputs = rng.normal(size=(batch, height, width, kernel_shape[2]))
        kernel = rng.normal(size=kernel_shape)
        ours = values_and_gradients(matmul_convolution, inputs, kernel)
        expected = values_and_gradients(native_convolution, inputs, kernel)
        chex.assert_trees_all_equal_shapes_and_dtypes(ours, expected)
        chex.assert_trees_all_close(ours, expected, atol=1e-11)


@pytest.mark.parametrize("channels", [3, 33])
def test_is_a_sum_of_scipys_correlations(channels):
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(2, 7, 9, channels)).astype(np.float32)
    kernel = rng.normal(size=(3, 4, channels, 2)).astype(np.float32)
    expected = [
        [scipy.signal.correlate(image, k, mode="valid")[..., 0] for k in np.moveaxis(kernel, -1, 0)]
        for image in inputs.astype(np.float64)
    ]
    expected = np.moveaxis(np.array(expected), 1, -1)
    ours = matmul_convolution(inputs, kernel)
    chex.assert_trees_all_close(ours, expected.astype(np.float32), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1, 3, 4])
def test_a_kernel_that_does_not_fit_is_refused(size):
    inputs, kernel = np.zeros((1, size, 5, 1)), np.zeros((5, 5, 1, 2))
    with pytest.raises(ValueError, match=rf"\(5, 5\) .* \({size}, 5\)"):
        matmul_convolution(inputs, kernel)


def assert_is_flax_convolution(shape, *args, **kwargs):
    inputs = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    ours, theirs = Conv(*args, **kwargs), nn.Conv(*args, **kwargs)
    # Without jit, so that tests share what is compiled.
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


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="accelerators keep the native one")
@pytest.mark.parametrize(("strides", "native"), [(1, False), (2, True)])
def test_on_the_cpu_a_plain_convolution_is_matrix_products(strides, native):
    inputs = jnp.zeros((1, 6, 6, 1))
    conv = Conv(2, (3, 3), strides=strides)
    program = jax.make_jaxpr(conv.init)(jax.random.key(0), inputs)
    assert ("conv_general_dilated" in str(program)) == native
