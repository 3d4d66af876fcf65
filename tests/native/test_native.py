"""Tests the C++ kernels against plain code, and what happens where they are not available."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import chex
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax import sample
from stn_jax.native import library
from stn_jax.sampling import interpolation
from stn_jax.sampling.coordinates import PADDINGS
from stn_jax.sampling.windows import make_kernel
from tests import reference
from tests.native.builds import builds

__all__ = ["builds"]


@pytest.fixture(scope="module", autouse=True)
def _kernels():
    if os.environ.get("STN_JAX_NATIVE") == "0":
        pytest.skip("switched off by STN_JAX_NATIVE=0")
    if "no C++ compiler" in str(library.status()):
        pytest.skip(str(library.status()))
    assert library.is_available()


NOWHERE = [np.nan, np.inf, -np.inf, 1e30, -1e30]


def draw(rng, batch, sizes, channels, align_corners, count):
    """Returns an image, points and values at them; some points are far outside or NaN."""
    points = reference.grids_off_kinks(rng, sizes, align_corners, (*batch, count))
    bad = rng.uniform(size=points.shape) < 0.05
    points[bad] = rng.choice(NOWHERE, np.sum(bad))
    image, values = (rng.normal(size=(*batch, *shape, channels)) for shape in (sizes, (count,)))
    return tuple(x.astype(np.float32) for x in (image, points, values))


def kernels(image, grid, values, method, padding, align_corners):
    """Returns what the points read, and the transposes of reading at them and of shifting them."""
    ndim = grid.shape[-1]
    params = {"sizes": image.shape[-1 - ndim : -1], "padding": PADDINGS.index(padding)}
    params |= {"align_corners": int(align_corners), "in_pixels": 0}
    kernel = make_kernel(method, -0.75)
    primitives = interpolation._primitives(kernel, ndim, None, False)
    return (
        primitives.read.bind(image, grid, **params),
        primitives.read_transpose.bind(values, grid, **params),
        primitives.shift_transpose.bind(values, image, grid, **params),
    )


def gradient(image, grid, function=sample):
    def loss(image, grid):
        return jnp.sum(jnp.sin(function(image, grid)))

    return jax.grad(loss, argnums=(0, 1))(image, grid)


def lowered(function, *operands):
    # A new function each time, so that JAX lowers it again.
    return jax.jit(lambda *args: function(*args)).lower(*operands)


def has_kernels(program):
    return "stn_jax_sample" in program.as_text()


@pytest.mark.parametrize(("method", "padding", "align_corners"), reference.OPTIONS)
@hypothesis.settings(max_examples=2)
@hypothesis.given(
    batch=st.sampled_from([(), (0,), (1,), (7,), (2, 3), (2, 0)]),
    sizes=st.lists(st.integers(1, 8), min_size=1, max_size=3),
    count=st.integers(0, 300),
    channels=st.sampled_from([1, 1, 3, 2, 4, 17]),
    seed=st.integers(0, 2**32 - 1),
)
def test_kernels_agree_with_plain_code(
    method, padding, align_corners, batch, sizes, count, channels, seed
):
    operands = draw(np.random.default_rng(seed), batch, sizes, channels, align_corners, count)
    check(operands, method, padding, align_corners)


def check(operands, method, padding, align_corners, atol=2e-4):
    options = dict(method=method, padding=padding, align_corners=align_corners)
    function = functools.partial(kernels, **options)
    program = lowered(function, *operands)
    assert program.as_text().count("stn_jax_sample") == 3
    ours = program.compile()(*operands)
    with jax.enable_x64(True):
        wide = [x.astype(np.float64) for x in operands]
        plain_program = lowered(function, *wide)
        assert not has_kernels(plain_program)
        plain = plain_program.compile()(*wide)
    chex.assert_trees_all_close(
        ours, jax.tree.map(lambda x: np.asarray(x, np.float32), plain), atol=atol
    )


def test_an_image_that_is_larger_than_a_cache():
    # Positions are rounded to 1e-5 pixels, and a unit of a coordinate is half of all pixels.
    operands = draw(np.random.default_rng(0), (), (256, 257), 1, False, 2500)
    check(operands, "linear", "border", False, atol=5e-2)


def call(name, like, operands, **attributes):
    """Calls a kernel as JAX does for a primitive; the result has the shape of `like`."""
    kernel = jax.ffi.ffi_call(library.target_name(name), jax.ShapeDtypeStruct(like.shape, "f4"))
    return kernel(*operands, **{key: np.int64(value) for key, value in attributes.items()})


@pytest.mark.parametrize("empty", ["batch", "size", "kernel", "channels", "features"])
def test_convolutions_of_nothing_are_zeros(empty):
    n = dict.fromkeys(("batch", "size", "kernel", "channels", "features"), 3) | {empty: 0}
    out = max(n["size"] - n["kernel"] + 1, 0)
    inputs = np.ones((n["batch"], n["size"], n["size"], n["channels"]), np.float32)
    kernel = np.ones((n["kernel"], n["kernel"], n["channels"], n["features"]), np.float32)
    outputs = np.ones((n["batch"], out, out, n["features"]), np.float32)
    for name, operands, like in [
        ("convolution", (inputs, kernel), outputs),
        ("convolution_input_gradient", (outputs, kernel), inputs),
        ("convolution_kernel_gradient", (inputs, outputs), kernel),
    ]:
        result = call(name, like, operands, top=0, bottom=0, left=0, right=0)
        chex.assert_trees_all_equal(np.asarray(result), np.zeros_like(like))


@pytest.mark.parametrize(("padding", "channels"), [*zip(PADDINGS, (1, 3, 4, 1), strict=True)])
def test_gradients_are_the_same_without_kernels(padding, channels, monkeypatch):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, 3, 5, 7, channels)).astype(np.float32)
    # Some points are far outside, some are not numbers.
    grid = rng.uniform(-1.5, 1.5, (2, 3, 9, 4, 2)).astype(np.float32)
    grid[0, 0, 0] = [(np.nan, 0), (np.inf, 0), (0, -np.inf), (1e30, -1e30)]
    nested = jax.vmap(jax.vmap(functools.partial(sample, padding=padding)))
    function = functools.partial(gradient, function=nested)

    native_program = lowered(function, image, grid)
    monkeypatch.setattr(library, "is_available", lambda: False)
    plain_program = lowered(function, image, grid)
    assert has_kernels(native_program) and not has_kernels(plain_program)
    ours, plain = (p.compile()(image, grid) for p in (native_program, plain_program))
    chex.assert_trees_all_close(ours, plain, atol=1e-5)


@pytest.mark.parametrize(("method", "channels"), [("linear", 1), ("linear", 7), ("cubic", 2)])
def test_results_do_not_depend_on_how_the_work_is_shared_out(method, channels):
    operands = draw(np.random.default_rng(0), (9,), (24, 36), channels, False, 900)
    options = dict(method=method, padding="border", align_corners=False)
    function = jax.jit(functools.partial(kernels, **options))
    whole = function(*operands)
    for _ in range(20):
        chex.assert_trees_all_equal(function(*operands), whole)
    # Single images, whose work several threads may share.
    alone = [function(*(x[i] for x in operands)) for i in range(9)]
    chex.assert_trees_all_equal(jax.tree.map(lambda *x: jnp.stack(x), *alone), whole)


def test_float64_and_exported_programs_use_no_kernels():
    image, grid = jnp.ones((5, 4, 2)), jnp.zeros((3, 3, 2))
    assert has_kernels(lowered(gradient, image, grid))
    exported = jax.export.export(jax.jit(gradient))(image, grid)
    assert "stn_jax_sample" not in exported.mlir_module()
    with jax.enable_x64(True):
        assert not has_kernels(lowered(gradient, image.astype(float), grid))


@pytest.mark.parametrize("variables", [{"CXX": "no-such-compiler"}, {"STN_JAX_NATIVE": "0"}])
def test_the_library_works_without_kernels(variables, builds, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    image, grid = jnp.ones((5, 4, 2)), jnp.full((3, 3, 2), 0.1)
    program = lowered(gradient, image, grid)
    assert not library.is_available()
    assert not has_kernels(program)
    chex.assert_tree_all_finite(program.compile()(image, grid))


ON_SOME_CORES = """
import hashlib, os, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[1])])
import jax, numpy as np
import stn_jax
digest = hashlib.sha256()
for size in (28, 200, 256, 300):
    rng = np.random.default_rng(size)
    image = rng.normal(size=(2, size, size, 1)).astype(np.float32)
    grid = rng.uniform(-1.1, 1.1, (2, size, size, 2)).astype(np.float32)
    values, back = jax.vjp(jax.jit(jax.vmap(stn_jax.sample)), image, grid)
    for result in (values, *back(values)):
        digest.update(np.asarray(result).tobytes())
print(digest.hexdigest())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
def test_results_are_the_same_bit_for_bit_on_any_number_of_cores():
    digests = {
        subprocess.run(
            [sys.executable, "-c", ON_SOME_CORES, cores],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for cores in ("1", "2")
    }
    assert len(digests) == 1
