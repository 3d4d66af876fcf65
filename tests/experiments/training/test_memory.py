import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.training.memory import compile_within_memory, memory_bytes


def product(x):
    return x @ x


def test_a_program_that_fits_is_compiled():
    x = np.arange(9, dtype=np.float32).reshape(3, 3)
    np.testing.assert_array_equal(compile_within_memory(jax.jit(product), x)(x), x @ x)


def test_a_program_is_compiled_where_the_memory_is_unknown(monkeypatch):
    monkeypatch.delattr(os, "sysconf")  # as on Windows
    compile_within_memory(jax.jit(product), np.eye(3, dtype=np.float32))


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="accelerators refuse by themselves")
def test_a_program_that_does_not_fit_is_refused_before_it_runs():
    side = int((memory_bytes() / 4) ** 0.5)  # the argument alone would fit, not the result too
    too_large = jax.ShapeDtypeStruct((side, side), jnp.float32)
    with pytest.raises(UserError, match=r"needs \d+ GB of memory, and there are \d+ GB: reduce"):
        compile_within_memory(jax.jit(product), too_large)
    half = jax.ShapeDtypeStruct((side // 2, side // 2), jnp.float32)
    compile_within_memory(jax.jit(product), half)
