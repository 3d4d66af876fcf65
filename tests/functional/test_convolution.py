"""Tests convolution on the CPU and its derivatives, with the C++ kernels and without them."""

import functools
import os
import shutil

import chex
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from jax import lax

from stn_jax.functional.convolution import (
    _MIN_ROW_LENGTH,
    _input_gradient,
    _input_gradient_on_tpu,
    convolution,
)
from stn_jax.native import library

NO_PADDING = ((0, 0), (0, 0))


@pytest.fixture(params=["kernel", "plain"])
def form(request, monkeypatch):
    """Runs a test with the C++ kernels and without them."""
    if request.param == "plain":
        monkeypatch.setattr(library, "is_available", lambda: False)
    elif os.environ.get("STN_JAX_NATIVE") == "0":
        pytest.skip("switched off by STN_JAX_NATIVE=0")
    elif not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("no C++ compiler")
    else:
        assert library.is_available()
    return request.param


def xla_convolution(inputs, kernel, padding):
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(inputs, kernel, (1, 1), padding, dimension_numbers=numbers)


def derivatives(function, inputs, kernel, padding):
    """Returns the value, gradients, Hessian-vector products, and results for batches.

    The batches are of kernels or of inputs.
    """
    function = functools.partial(function, padding=padding)

    def gradient(inputs, kernel):
        return jax.grad(lambda *args: jnp.sum(jnp.sin(function(*args))), (0, 1))(inputs, kernel)

    def run(inputs, kernel):
        kernels = jnp.stack([kernel, kernel[::-1]])
        return (
            function(inputs, kernel),
            jax.jvp(gradient, (inputs, kernel), (jnp.cos(inputs), jnp.cos(kernel))),
            jax.vmap(function, (None, 0))(inputs, kernels),
            jax.vmap(function, (1, None), 1)(jnp.stack([inputs, -inputs], axis=1), kernel),
            jax.vmap(gradient, (None, 0))(inputs, kernels),
        )

    # A new function each time, so that JAX lowers it again.
    return jax.jit(run)(inputs, kernel)


def assert_agree(shape, kernel_shape, padding, seed=0, tolerance=2e-5):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=shape).astype(np.float32)
    kernel = (rng.normal(size=kernel_shape) / np.sqrt(np.prod(kernel_shape[:3]))).astype(np.float32)
    ours = derivatives(convolution, inputs, kernel, padding)
    with jax.enable_x64(True):
        wide = inputs.astype(np.float64), kernel.astype(np.float64)
        expected = derivatives(xla_convolution, *wide, padding)
    chex.assert_trees_all_equal_shapes(ours, expected)
    scaled = jax.tree.map(lambda x: np.asarray(x) / max(1, np.max(np.abs(x), initial=0)), expected)
    ours = jax.tree.map(
        lambda x, e: np.asarray(x) / max(1, np.max(np.abs(e), initial=0)), ours, expected
    )
    chex.assert_trees_all_close(ours, scaled, atol=tolerance)


@hypothesis.settings(
    max_examples=5,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(data=st.data())
def test_agrees_with_xla_and_so_do_its_derivatives(form, data):
    kernel_size = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    padding = tuple(tuple(data.draw(st.integers(0, k - 1)) for _ in range(2)) for k in kernel_size)
    margin = data.draw(st.tuples(st.integers(0, 20), st.integers(0, 20)))
    size = (max(1, k - sum(p) + m) for k, p, m in zip(kernel_size, padding, margin, strict=True))
    channels, features = data.draw(st.tuples(st.integers(1, 20), st.integers(1, 70)))
    batch = data.draw(st.integers(0, 5))
    shapes = (batch, *size, channels), (*kernel_size, channels, features)
    assert_agree(*shapes, padding, seed=data.draw(st.integers(0, 2**32 - 1)))


# Layers of every kind: few channels or features, whole registers and parts of them, short and long
# rows of patches, large images that are split into rows, and groups of small images.
@pytest.mark.parametrize(
    ("shape", "kernel_shape", "padding"),
    [
        ((3, 12, 13, 1), (9, 9, 1, 32), NO_PADDING),
        ((2, 9, 11, 16), (5, 5, 16, 1), ((4, 4), (4, 4))),
        ((2, 9, 11, 8), (5, 5, 8, 3), ((2, 2), (2, 2))),
        ((2, 9, 30, 7), (3, 5, 7, 2), ((2, 0), (0, 4))),
        ((1, 100, 90, 16), (3, 3, 16, 20), ((1, 1), (1, 1))),
        ((40, 4, 4, 24), (5, 5, 24, 40), ((2, 2), (2, 2))),
        ((2, 7, 29, _MIN_ROW_LENGTH), (1, 1, _MIN_ROW_LENGTH, 4), NO_PADDING),
        ((2, 6, 5, _MIN_ROW_LENGTH + 1), (3, 2, _MIN_ROW_LENGTH + 1, 65), NO_PADDING),
    ],
    ids=str,
)
def test_agrees_on_the_shapes_of_the_networks(form, shape, kernel_shape, padding):
    assert_agree(shape, kernel_shape, padding, tolerance=1e-4)


@pytest.mark.parametrize("channels", [3, 33])
def test_is_a_sum_of_scipys_correlations(form, channels):
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(2, 7, 9, channels)).astype(np.float32)
    kernel = rng.normal(size=(3, 4, channels, 2)).astype(np.float32)
    expected = [
        [scipy.signal.correlate(image, k, mode="valid")[..., 0] for k in np.moveaxis(kernel, -1, 0)]
        for image in inputs.astype(np.float64)
    ]
    expected = np.moveaxis(np.array(expected), 1, -1)
    ours = jax.jit(lambda *args: convolution(*args))(inputs, kernel)
    chex.assert_trees_all_close(ours, expected.astype(np.float32), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.int32])
def test_integers(form, dtype):
    rng = np.random.default_rng(6)
    inputs, kernel = (
        jnp.asarray(rng.integers(-9, 9, shape), dtype) for shape in ((2, 5, 4, 3), (3, 2, 3, 4))
    )
    outputs = convolution(inputs, kernel)
    assert outputs.dtype == dtype
    np.testing.assert_array_equal(outputs, xla_convolution(inputs, kernel, NO_PADDING))


def test_padding_may_be_an_array(form):
    inputs, kernel = np.ones((1, 5, 4, 2), np.float32), np.ones((3, 3, 2, 4), np.float32)
    padding = ((1, 2), (0, 1))
    expected = convolution(inputs, kernel, padding)
    np.testing.assert_array_equal(convolution(inputs, kernel, np.array(padding)), expected)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_other_dtypes_than_float32(dtype):
    with jax.enable_x64(True):
        inputs = jnp.arange(24.0, dtype=dtype).reshape(1, 4, 3, 2) / 8
        kernel = jnp.ones((2, 2, 2, 3), dtype)
        outputs, back = jax.vjp(convolution, inputs, kernel)
        expected = xla_convolution(inputs, kernel, NO_PADDING)
        assert outputs.dtype == dtype and all(g.dtype == dtype for g in back(outputs))
        chex.assert_trees_all_close(outputs, expected, rtol=1e-2)


@pytest.mark.parametrize("features", [5, 70])
def test_not_a_number_stays_in_its_windows(form, features):
    inputs, kernel = np.ones((2, 6, 8, 3), np.float32), np.ones((3, 3, 3, features), np.float32)
    cotangent = np.ones((2, 4, 6, features), np.float32)
    inputs[0, 2, 3], cotangent[1, 1, 2] = np.nan, np.nan

    @jax.jit
    def run(inputs, cotangent):
        return convolution(inputs, kernel), jax.vjp(convolution, inputs, kernel)[1](cotangent)[0]

    outputs, gradient = run(inputs, cotangent)
    expected, expected_gradient = np.zeros((2, 4, 6), bool), np.zeros((2, 6, 8), bool)
    expected[0, :3, 1:4], expected_gradient[1, 1:4, 2:5] = True, True
    for what, where in ((outputs, expected), (gradient, expected_gradient)):
        np.testing.assert_array_equal(np.isnan(what).all(axis=-1), where)
        np.testing.assert_array_equal(np.isnan(what).any(axis=-1), where)


def test_results_do_not_depend_on_how_the_work_is_shared_out():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(24, 14, 13, 8)).astype(np.float32)
    kernel = rng.normal(size=(5, 5, 8, 24)).astype(np.float32)

    @jax.jit
    def run(inputs, kernel):
        outputs, back = jax.vjp(convolution, inputs, kernel)
        return outputs, back(outputs)

    first = run(inputs, kernel)
    for _ in range(20):
        chex.assert_trees_all_equal(run(inputs, kernel), first)
    alone = [run(image[None], kernel)[0][0] for image in inputs]
    chex.assert_trees_all_equal(jnp.stack(alone), first[0])


def test_only_what_is_asked_for_is_computed():
    inputs, kernel = jnp.ones((2, 6, 6, 3)), jnp.ones((3, 3, 3, 4))

    def program(argnums):
        gradient = jax.grad(lambda *args: jnp.sum(convolution(*args) ** 2), argnums)
        return str(jax.make_jaxpr(gradient)(inputs, kernel))

    assert "convolution_kernel_gradient" not in program(0)
    assert "convolution_input_gradient" not in program(1)


@pytest.mark.parametrize("size", [1, 3, 4])
def test_a_kernel_that_does_not_fit_is_refused(size):
    inputs, kernel = np.zeros((1, size, 5, 1)), np.zeros((5, 5, 1, 2))
    with pytest.raises(ValueError, match=rf"\(5, 5\) .* \({size}, 5\)"):
        convolution(inputs, kernel)


@pytest.mark.parametrize(("shape", "kernel"), [((4, 4, 1), (3, 3, 1, 1)), ((1, 4, 4, 1), (3, 3))])
def test_other_numbers_of_axes_than_4_are_refused(shape, kernel):
    with pytest.raises(ValueError, match="must have 4 axes"):
        convolution(np.zeros(shape), np.zeros(kernel))


def test_padding_that_is_as_wide_as_the_kernel_is_refused():
    with pytest.raises(ValueError, match=r"padding .* less than the kernel"):
        convolution(np.zeros((1, 4, 4, 1)), np.zeros((3, 3, 1, 1)), ((0, 3), (0, 0)))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_sums_of_half_precision_are_rounded_once(form, dtype):
    rng = np.random.default_rng(5)
    inputs = jnp.asarray(rng.normal(size=(2, 6, 7, 30)), dtype)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 30, 5)), dtype)

    def value_and_gradients(inputs, kernel, weights):
        outputs, back = jax.vjp(lambda x, k: convolution(x, k, ((1, 1), (0, 1))), inputs, kernel)
        return outputs, *back(weights)

    weights = jnp.asarray(rng.normal(size=(2, 6, 6, 5)), dtype)
    ours = value_and_gradients(inputs, kernel, weights)
    with jax.enable_x64(True):
        wide = (jnp.asarray(np.asarray(x, np.float64)) for x in (inputs, kernel, weights))
        exact = value_and_gradients(*wide)
    for actual, expected in zip(ours, exact, strict=True):
        assert actual.dtype == dtype
        # Half a unit in the last place, and the error of sums in float32.
        error = np.abs(np.asarray(actual, np.float64) - np.asarray(expected))
        limit = float(jnp.finfo(dtype).eps) / 2 * np.abs(expected) + 1e-4
        assert np.all(error <= limit)


@pytest.mark.parametrize(
    ("shape", "kernel_shape"),
    [((2, 5, 5, 0), (3, 3, 0, 4)), ((2, 5, 5, 3), (3, 3, 3, 0)), ((0, 5, 5, 3), (3, 3, 3, 4))],
)
def test_empty_arrays(form, shape, kernel_shape):
    assert_agree(shape, kernel_shape, NO_PADDING)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_other_platforms_use_the_convolution_of_xla(platform):
    def run(inputs, kernel, precision=None):
        def loss(inputs, kernel):
            return jnp.sum(jnp.sin(convolution(inputs, kernel, precision=precision)))

        return jax.grad(loss, argnums=(0, 1))(inputs, kernel)

    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((2, 6, 6, 3), (3, 3, 3, 4))]
    for precision in (None, "highest"):
        traced = jax.jit(functools.partial(run, precision=precision)).trace(*shapes)
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert text.count("stablehlo.convolution") == 3
        assert "dot_general" not in text and "custom_call" not in text
        assert ("HIGHEST" in text) == (precision == "highest")


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (2, 1, 0, 3), (2, 2, 3, 3)])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_gradient_on_a_tpu_is_the_same(padding, channels):
    rng = np.random.default_rng(0)
    cotangent = rng.normal(size=(2, 4, 5, 6)).astype(np.float32)
    kernel = rng.normal(size=(3, 4, channels, 6)).astype(np.float32)
    params = dict(
        zip(("top", "bottom", "left", "right"), padding, strict=True), precision="highest"
    )
    chex.assert_trees_all_close(
        _input_gradient_on_tpu(cotangent, kernel, **params),
        _input_gradient(cotangent, kernel, **params),
        atol=1e-5,
    )
