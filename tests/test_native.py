"""The kernels in C++, held against plain code; and what happens where they cannot be had."""

import functools
import os
import shutil
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

from stn_jax import bilinear, cache, native, sample
from stn_jax.sampling import PADDINGS

COMPILERS = ("c++", "g++", "clang++")


@pytest.fixture(scope="module", autouse=True)
def _kernels():
    if os.environ.get("STN_JAX_NATIVE") == "0":
        pytest.skip("switched off by STN_JAX_NATIVE=0")
    if not any(map(shutil.which, [*os.environ.get("CXX", "").split()[:1], *COMPILERS])):
        pytest.skip("no C++ compiler")
    assert native.is_available()


@pytest.fixture
def anew(monkeypatch, tmp_path):
    """As in a new process that has an empty cache folder."""
    monkeypatch.setattr(native, "_register", functools.cache(native._register.__wrapped__))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache.cache_folder()


def draw(rng, batch, points, channels, width, height):
    corner = rng.integers(0, width * (height - 1) - 1, (*batch, points)).astype(np.int32)
    u, v = rng.uniform(size=(2, *batch, points)).astype(np.float32)
    pixels = rng.normal(size=(*batch, width * height, channels)).astype(np.float32)
    values = rng.normal(size=(*batch, points, channels)).astype(np.float32)
    return values, pixels, corner, u, v


def transposes(values, pixels, corner, u, v, width):
    """Of reading at the points, and of shifting them."""
    size = {"width": width, "size": pixels.shape[-2]}
    read = bilinear._read_transpose_p.bind(values, corner, u, v, **size)
    return read, bilinear._shift_transpose_p.bind(values, pixels, corner, u, v, **size)


def gradient(image, grid, function=sample):
    def loss(image, grid):
        return jnp.sum(jnp.sin(function(image, grid)))

    return jax.grad(loss, argnums=(0, 1))(image, grid)


def lowered(function, *operands):
    # A new function each time, which JAX has not lowered yet.
    return jax.jit(lambda *args: function(*args)).lower(*operands)


def has_kernels(program):
    return "stn_jax_bilinear" in program.as_text()


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(
    batch=st.sampled_from([(), (0,), (1,), (7,), (2, 3), (2, 0)]),
    points=st.integers(0, 40),
    channels=st.integers(1, 20),
    width=st.integers(2, 6),
    height=st.integers(2, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_kernels_agree_with_plain_code(batch, points, channels, width, height, seed):
    operands = draw(np.random.default_rng(seed), batch, points, channels, width, height)
    read, shift = jax.jit(transposes, static_argnums=5)(*operands, width)

    values, pixels, corner, u, v = (np.float64(x) if x.dtype != np.int32 else x for x in operands)
    expected_read, expected_shift = np.zeros_like(pixels), np.zeros(corner.shape, complex)
    for where in np.ndindex(corner.shape):
        *image, _ = where
        x, y, value = u[where], v[where], values[where]
        for dx, dy in np.ndindex(2, 2):
            tap = (*image, corner[where] + dx + width * dy)
            by_x, by_y = (1 - x, x)[dx], (1 - y, y)[dy]
            expected_read[tap] += by_x * by_y * value
            slope = (-1, 1)[dx] * by_y - 1j * (-1, 1)[dy] * by_x
            expected_shift[where] += slope * np.vdot(pixels[tap], value)
    chex.assert_trees_all_close((read, shift), (expected_read, expected_shift), atol=1e-4)


@pytest.mark.parametrize(("padding", "channels"), [*zip(PADDINGS, (1, 3, 4), strict=True)])
def test_gradients_are_the_same_without_kernels(padding, channels, monkeypatch):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, 3, 5, 7, channels)).astype(np.float32)
    # Some points far outside, some that are no numbers at all.
    grid = rng.uniform(-1.5, 1.5, (2, 3, 9, 4, 2)).astype(np.float32)
    grid[0, 0, 0] = [(np.nan, 0), (np.inf, 0), (0, -np.inf), (1e30, -1e30)]
    nested = jax.vmap(jax.vmap(functools.partial(sample, padding=padding)))
    function = functools.partial(gradient, function=nested)

    native_program = lowered(function, image, grid)
    monkeypatch.setattr(native, "is_available", lambda: False)
    plain_program = lowered(function, image, grid)
    assert has_kernels(native_program) and not has_kernels(plain_program)
    ours, plain = (p.compile()(image, grid) for p in (native_program, plain_program))
    chex.assert_trees_all_close(ours, plain, atol=1e-5)


def test_results_do_not_depend_on_how_the_work_is_shared_out():
    operands = draw(np.random.default_rng(0), (9,), 900, 7, 5, 4)
    function = jax.jit(transposes, static_argnums=5)
    whole = function(*operands, 5)
    for _ in range(20):
        chex.assert_trees_all_equal(function(*operands, 5), whole)
    # Too small for more than one thread.
    one = [function(*(x[i] for x in operands), 5) for i in range(9)]
    chex.assert_trees_all_equal(jax.tree.map(lambda *x: jnp.stack(x), *one), whole)


def test_wider_numbers_and_exported_programs_do_without():
    image, grid = jnp.ones((5, 4, 2)), jnp.zeros((3, 3, 2))
    assert has_kernels(lowered(gradient, image, grid))
    exported = jax.export.export(jax.jit(gradient))(image, grid)
    assert "stn_jax_bilinear" not in exported.mlir_module()
    with jax.enable_x64(True):
        assert not has_kernels(lowered(gradient, image.astype(float), grid))


@pytest.mark.parametrize("variables", [{"CXX": "no-such-compiler"}, {"STN_JAX_NATIVE": "0"}])
def test_the_library_works_without_a_compiler(variables, anew, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    image, grid = jnp.ones((5, 4, 2)), jnp.full((3, 3, 2), 0.1)
    program = lowered(gradient, image, grid)
    assert not native.is_available()
    assert not has_kernels(program)
    chex.assert_tree_all_finite(program.compile()(image, grid))


def test_a_folder_that_cannot_be_written(anew):
    anew.parent.mkdir()
    anew.write_text("a file, not a folder")
    assert not native.is_available()


def test_a_damaged_library_is_built_again(anew, monkeypatch, tmp_path):
    # Does not compile, only copies: fast.
    library, compiler = tmp_path / "library", tmp_path / "compiler"
    library.write_bytes(b"compiled")
    compiler.write_text(f'#!/bin/sh\nfor last; do :; done\ncp {library} "$last"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    path = native._built()
    assert path.parent == anew and path.read_bytes() == b"compiled"

    path.write_bytes(b"comp")
    assert native._built().read_bytes() == b"compiled"
    path.write_bytes(b"comp")
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not native.is_available()


def test_a_library_is_kept(anew, monkeypatch):
    contents = iter([b"first", b"second"])
    monkeypatch.setattr(native, "_compiled", lambda flags: next(contents))
    assert native._built() == native._built()
    monkeypatch.setattr(cache, "_machine", lambda: b"another processor")
    assert native._built().read_bytes() == b"second"


def test_importing_compiles_nothing(tmp_path):
    code = "import stn_jax; from stn_jax import native; print(native._register.cache_info())"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "currsize=0" in run.stdout
    assert not list(Path(tmp_path).iterdir())
