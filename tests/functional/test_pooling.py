import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from stn_jax.functional.pooling import max_pool_2x2


@pytest.mark.parametrize("shape", [(2, 6, 4, 3), (1, 7, 5, 2), (3, 1, 1, 4)])
def test_values_and_gradient_are_those_of_flax(shape):
    inputs = jax.random.normal(jax.random.key(0), shape)  # no ties

    def flax_pool(x):
        return nn.max_pool(x, (2, 2), (2, 2), padding="SAME")

    chex.assert_trees_all_equal(max_pool_2x2(inputs), flax_pool(inputs))
    gradients = [
        jax.grad(lambda x, pool=pool: jnp.sum(pool(x) ** 3))(inputs)
        for pool in (max_pool_2x2, flax_pool)
    ]
    chex.assert_trees_all_close(*gradients, rtol=1e-6)


def test_ties_share_the_gradient():
    gradient = jax.grad(lambda x: max_pool_2x2(x).sum())(jnp.ones((1, 2, 2, 1)))
    np.testing.assert_allclose(gradient, np.full((1, 2, 2, 1), 0.25))
