import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from stn_jax.functional import pooling
from stn_jax.functional.pooling import max_pool_2x2


@pytest.mark.parametrize("shape", [(2, 6, 4, 3), (1, 7, 5, 2), (3, 1, 1, 4)])
@pytest.mark.parametrize("pool", [max_pool_2x2, pooling._max_of_windows])
def test_values_and_gradient_are_those_of_flax(shape, pool):
    inputs = jax.random.normal(jax.random.key(0), shape)  # no ties

    def flax_pool(x):
        return nn.max_pool(x, (2, 2), (2, 2), padding="SAME")

    chex.assert_trees_all_equal(pool(inputs), flax_pool(inputs))
    gradients = [
        jax.grad(lambda x, pool=pool: jnp.sum(pool(x) ** 3))(inputs) for pool in (pool, flax_pool)
    ]
    chex.assert_trees_all_close(*gradients, rtol=1e-6)


@pytest.mark.parametrize("sizes", [(5,), (5, 4), (3, 4, 5)])
def test_both_forms_agree_in_any_dimension(sizes):
    inputs = jax.random.normal(jax.random.key(0), (2, *sizes, 3))
    forms = pooling._max_of_slices, pooling._max_of_windows
    chex.assert_trees_all_equal(*(form(inputs) for form in forms))
    gradients = (jax.grad(lambda x, f=form: jnp.sum(f(x) ** 3))(inputs) for form in forms)
    chex.assert_trees_all_close(*gradients, rtol=1e-6)


@pytest.mark.parametrize(("platform", "scatters"), [("cpu", False), ("cuda", False), ("tpu", True)])
def test_only_a_tpu_gets_a_gradient_that_scatters(platform, scatters):
    traced = jax.jit(jax.grad(lambda x: max_pool_2x2(x).sum())).trace(jnp.ones((1, 4, 4, 1)))
    program = traced.lower(lowering_platforms=(platform,)).as_text()
    assert ("select_and_scatter" in program) == scatters


def test_ties_share_the_gradient():
    gradient = jax.grad(lambda x: max_pool_2x2(x).sum())(jnp.ones((1, 2, 2, 1)))
    np.testing.assert_allclose(gradient, np.full((1, 2, 2, 1), 0.25))
