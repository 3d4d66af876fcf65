"""Tests the derivatives of the sampler against those of plain code, and its primitives."""

import functools
import itertools
import os
import subprocess
import sys

import chex
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import jet

import stn_jax
from stn_jax.sampling import METHODS, PADDINGS, operations, paths, sample
from stn_jax.sampling.windows import Axis, make_kernel
from tests import reference

OPTIONS = list(itertools.product(PADDINGS, (False, True)))
SHAPES = [(5, 7, 3), (3, 1, 1), (2, 3, 1), (1, 4, 2), (5, 6, 1), (4, 2, 3)]
AXES = [(0, 0), (0, None), (None, 0)]
CASES = [(*c[0], *c[1:]) for c in zip(OPTIONS, itertools.cycle(SHAPES), itertools.cycle(AXES))]


@functools.lru_cache
def derivatives(function, padding, align_corners, axes):
    """Returns a function that computes the value and its first and second derivatives."""
    options = {"padding": padding, "align_corners": align_corners}
    batched = jax.vmap(functools.partial(function, **options), axes)

    def loss(image, grid):
        return jnp.sum(jnp.sin(batched(image, grid)))

    def slope(primals, directions):
        gradients = jax.grad(loss, argnums=(0, 1))(*primals)
        return sum(map(jnp.vdot, gradients, directions)), gradients

    def everything(primals, directions):
        forward = jax.jvp(batched, primals, directions)
        return forward, jax.grad(slope, has_aux=True)(primals, directions)

    return jax.jit(everything)


@pytest.mark.parametrize(("padding", "align_corners", "shape", "axes"), CASES)
@hypothesis.settings(max_examples=15)
@hypothesis.given(seed=st.integers(0, 2**32 - 1))
def test_derivatives_are_those_of_plain_code(padding, align_corners, shape, axes, seed):
    with jax.enable_x64(True):
        rng = np.random.default_rng(seed)
        operands = (
            rng.normal(size=(3, *shape)),
            reference.grids_off_kinks(rng, shape[:2], align_corners),
        )
        primals = tuple(x if a == 0 else x[0] for x, a in zip(operands, axes, strict=True))
        directions = tuple(rng.normal(size=p.shape) for p in primals)
        ours, plain = (
            derivatives(function, padding, align_corners, axes)(primals, directions)
            for function in (sample, reference.plain_bilinear)
        )
        chex.assert_trees_all_close(ours, plain, atol=1e-9)


@pytest.mark.parametrize(("reach", "method"), [(-1, "bilinear"), (4, "bilinear"), (4, "bicubic")])
def test_every_platform_adds_up_the_same_gradient_to_the_image(reach, method):
    # First with points in a few cells, then in many and outside.
    rng = np.random.default_rng(0)
    grid = reference.grids_off_kinks(rng, (4, 6), False, (2, 5, 10), reach).astype(np.float32)
    values = rng.normal(size=(2, 5, 10, 3)).astype(np.float32)
    axes = tuple(Axis(size, "border", align_corners=False, in_pixels=False) for size in (4, 6))
    params = axes, make_kernel(method, -0.75)
    gathers = paths.PATHS["gathers"]
    expected = jax.vmap(lambda *args: operations.read_transpose(gathers, *args, *params))(
        values, grid
    )
    points = values.reshape(2, 50, 3), grid.reshape(2, 50, 2)
    on_cpu = jax.jit(lambda *args: operations.read_transpose_on_cpu(*args, *params))(*points)
    chex.assert_trees_all_close(on_cpu, expected, atol=1e-5)
    np.testing.assert_allclose(np.sum(expected), np.sum(values), atol=1e-3)


@pytest.mark.parametrize(
    ("wanted", "unwanted"), [(0, "linear_2d_shift"), (1, "linear_2d_read_transpose")]
)
def test_a_gradient_that_nobody_asked_for_is_not_computed(wanted, unwanted):
    image, grid = jnp.ones((2, 5, 4, 3)), jnp.zeros((2, 3, 3, 2))

    def loss(image, grid):
        return jnp.sum(jax.vmap(sample)(image, grid))

    program = str(jax.make_jaxpr(jax.grad(loss, argnums=wanted))(image, grid))
    assert unwanted not in program
    assert unwanted in str(jax.make_jaxpr(jax.grad(loss, argnums=1 - wanted))(image, grid))


def test_little_is_kept_for_the_backward_pass():
    image, grid = jnp.ones((28, 28, 16)), jnp.zeros((28, 28, 2))
    _, back = jax.vjp(sample, image, grid)
    kept = sum(leaf.nbytes for leaf in jax.tree.leaves(back))
    assert kept < 2 * (image.nbytes + grid.nbytes)


def test_gradients_are_as_wide_as_the_operands():
    image, grid = jnp.ones((5, 4, 3), jnp.bfloat16), jnp.zeros((3, 3, 2), jnp.float16)
    gradients = jax.grad(lambda i, g: jnp.sum(sample(i, g)), argnums=(0, 1))(image, grid)
    assert [g.dtype for g in gradients] == [jnp.bfloat16, jnp.float16]


def test_a_mesh_of_devices():
    rng = np.random.default_rng(1)
    image, grid = (
        rng.normal(size=(2, 5, 7, 3)),
        reference.grids_off_kinks(rng, (5, 7), False)[:2],
    )

    def gradient(image, grid):
        def loss(image, grid):
            return jnp.sum(jnp.sin(jax.vmap(sample)(image, grid)))

        return jax.grad(loss, argnums=(0, 1))(image, grid)

    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("devices",))
    spec = jax.sharding.PartitionSpec("devices")
    split = jax.shard_map(gradient, mesh=mesh, in_specs=spec, out_specs=spec)
    chex.assert_trees_all_close(jax.jit(split)(image, grid), gradient(image, grid), atol=1e-5)


SPLIT_BY_TYPE = """
import jax, jax.numpy as jnp, numpy as np
from stn_jax import sample

rng = np.random.default_rng(0)
image = rng.normal(size=(4, 5, 7, 3)).astype(np.float32)
grid = rng.uniform(-1, 1, (4, 3, 3, 2)).astype(np.float32)
gradient = jax.jit(jax.grad(lambda i, g: jnp.sum(jnp.sin(jax.vmap(sample)(i, g))), argnums=(0, 1)))
rows = jax.sharding.NamedSharding(jax.make_mesh((2,), ("x",)), jax.sharding.PartitionSpec("x"))
split = gradient(*jax.device_put((image, grid), rows))
for ours, plain in zip(split, gradient(image, grid)):
    np.testing.assert_allclose(ours, plain, atol=1e-5)
    assert ours.sharding.spec[0] == "x"
"""


@pytest.mark.parametrize("native", ["0", "1"])
def test_operands_that_are_split_over_devices_by_their_type(native):
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "STN_JAX_NATIVE": native}
    command = [sys.executable, "-c", SPLIT_BY_TYPE]
    run = subprocess.run(
        command, env=os.environ | flags, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_the_gradient_to_no_images_is_empty():
    images, grids = jnp.ones((0, 5, 4, 3)), jnp.ones((0, 2, 2, 2))
    gradient = jax.grad(lambda x: jnp.sum(jax.vmap(sample)(x, grids)))(images)
    assert gradient.shape == images.shape
    axes = tuple(Axis(size, "zeros", align_corners=False, in_pixels=False) for size in (5, 4))
    points = jnp.ones((0, 4, 3)), grids.reshape(0, 4, 2)
    params = axes, make_kernel("linear", 0)
    assert operations.read_transpose_on_cpu(*points, *params).shape == images.shape


@pytest.mark.parametrize("shape", [(5, 4, 0), (1, 1, 1)])
@pytest.mark.parametrize("target", [(0, 3), (3, 0), (2, 2)])
def test_empty_arrays(shape, target):
    image, grid = jnp.ones(shape), jnp.zeros((*target, 2))
    values, back = jax.vjp(sample, image, grid)
    assert values.shape == (*target, shape[-1])
    image_gradient, grid_gradient = back(values)
    assert image_gradient.shape == shape
    np.testing.assert_array_equal(np.isfinite(grid_gradient), True)
    none = jax.vmap(lambda grid: sample(image, grid))(jnp.zeros((0, *grid.shape)))
    assert none.shape == (0, *values.shape)


@pytest.mark.parametrize("method", ["nearest", "linear", "cubic", "bspline5"])
def test_an_image_that_many_grids_share_is_not_copied(method):
    image = jax.ShapeDtypeStruct((128, 128, 3), jnp.float32)
    grids = jax.ShapeDtypeStruct((64, 4, 4, 2), jnp.float32)
    crops = jax.vmap(functools.partial(sample, method=method), (None, 0))

    def gradients(image, grids):
        return jax.grad(lambda *args: jnp.sum(jnp.sin(crops(*args))), (0, 1))(image, grids)

    for function in (crops, gradients):
        memory = jax.jit(function).lower(image, grids).compile().memory_analysis()
        assert memory.temp_size_in_bytes < 10 * 128 * 128 * 3 * 4


@pytest.mark.parametrize("outer", AXES)
@pytest.mark.parametrize("inner", AXES)
def test_a_batch_of_batches_is_read_one_by_one(outer, inner):
    rng = np.random.default_rng(2)
    images = rng.normal(size=(2, 3, 5, 4, 2)).astype(np.float32)
    grids = rng.uniform(-1.2, 1.2, (2, 3, 3, 2, 2)).astype(np.float32)

    def of_example(array, axes, a, b):
        """Takes the first one along an axis that is not mapped."""
        return array[a if axes[0] == 0 else 0, b if axes[1] == 0 else 0]

    def mapped_part(array, axes):
        return array[tuple(slice(None) if axis == 0 else 0 for axis in axes)]

    image_axes, grid_axes = zip(outer, inner, strict=True)
    image, grid = mapped_part(images, image_axes), mapped_part(grids, grid_axes)
    actual = jax.vmap(jax.vmap(sample, inner), outer)(image, grid)
    for a, b in itertools.product(range(2), range(3)):
        expected = sample(of_example(images, image_axes, a, b), of_example(grids, grid_axes, a, b))
        np.testing.assert_allclose(actual[a, b], expected, atol=1e-6)


def test_plain_operations_have_the_same_derivatives():
    rng = np.random.default_rng(3)
    image = rng.normal(size=(5, 4, 3))
    grid = reference.grids_off_kinks(rng, (5, 4), False)[0]
    for padding in PADDINGS:
        with jax.enable_x64(True):
            operands = (jnp.asarray(image), jnp.asarray(grid))

            @jax.jit
            def everything(image, grid, padding=padding):
                def loss(image, grid):
                    return jnp.sum(jnp.sin(sample(image, grid, padding=padding)))

                gradients = jax.grad(loss, (0, 1))
                return gradients(image, grid), jax.jvp(gradients, (image, grid), (image, grid))

            expected = everything(*operands)
            with stn_jax.plain_operations():
                actual = everything(*operands)
                traced = str(everything.trace(*operands).jaxpr)
            chex.assert_trees_all_close(actual, expected, atol=1e-9)
            assert "linear_2d_" not in traced
            # What was traced inside of the context is not used outside of it.
            assert "linear_2d_" in str(everything.trace(*operands).jaxpr)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_other_platforms_compute_without_kernels_and_complex_numbers(platform):
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((5, 4, 3), (2, 2, 2))]
    program = jax.jit(jax.grad(lambda *args: jnp.sum(jnp.sin(sample(*args))), (0, 1)))
    text = program.trace(*shapes).lower(lowering_platforms=(platform,)).as_text()
    assert "complex" not in text and "custom_call" not in text


def test_an_image_with_more_pixels_than_can_be_counted_is_refused():
    image = jax.ShapeDtypeStruct((2**16, 2**15, 1), jnp.bfloat16)
    grid = jax.ShapeDtypeStruct((2, 2, 2), jnp.float32)
    for method in METHODS:
        with pytest.raises(ValueError, match=r"\(65536, 32768\) pixels is too large"):
            jax.eval_shape(functools.partial(sample, method=method), image, grid)


@pytest.mark.parametrize("padding", PADDINGS)
def test_taylor_series_agree_with_nested_forward_mode(padding):
    rng = np.random.default_rng(4)
    with jax.enable_x64(True):
        image, image_dot = rng.normal(size=(2, 5, 4, 3))
        grid = reference.grids_off_kinks(rng, (5, 4), False)[0]
        grid_dot = rng.normal(size=grid.shape)

        def along_curve(t):
            return sample(image + t * image_dot, grid + t * grid_dot, padding=padding)

        zeros = jnp.zeros_like(image), jnp.zeros_like(grid)
        value, (first, second) = jet.jet(
            functools.partial(sample, padding=padding),
            (jnp.asarray(image), jnp.asarray(grid)),
            ((jnp.asarray(image_dot), zeros[0]), (jnp.asarray(grid_dot), zeros[1])),
        )
        derivative = jax.jacfwd(along_curve)
        expected = along_curve(0.0), derivative(0.0), jax.jacfwd(derivative)(0.0)
        chex.assert_trees_all_close((value, first, second), expected, atol=1e-9)
