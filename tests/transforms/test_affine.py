import chex
import jax
import numpy as np
import pytest

from stn_jax.transforms import affine_grid
from stn_jax.transforms.affine import compose, inverse

A, B = np.random.default_rng(0).normal(size=(2, 2, 3)).astype(np.float32)


def test_compose_applies_the_inner_one_first():
    expected = affine_grid(B, (3, 4)) @ A[:, :2].T + A[:, 2]
    chex.assert_trees_all_close(affine_grid(compose(A, B), (3, 4)), expected, atol=1e-5)


def test_inverse_undoes():
    identity = np.eye(2, 3, dtype=np.float32)
    chex.assert_trees_all_close(np.asarray(compose(A, inverse(A))), identity, atol=1e-5)
    chex.assert_trees_all_close(np.asarray(compose(inverse(B), B)), identity, atol=1e-5)


@pytest.mark.parametrize("ndim", [1, 3])
def test_compose_and_inverse_in_other_dimensions(ndim):
    outer, inner = np.random.default_rng(1).normal(size=(2, ndim, ndim + 1)).astype(np.float32)
    shape = (3, 4, 5)[:ndim]
    expected = affine_grid(inner, shape) @ outer[:, :-1].T + outer[:, -1]
    chex.assert_trees_all_close(affine_grid(compose(outer, inner), shape), expected, atol=1e-5)
    identity = np.eye(ndim, ndim + 1, dtype=np.float32)
    chex.assert_trees_all_close(compose(outer, inverse(outer)), identity, atol=1e-4)


def test_compose_and_inverse_are_differentiable_under_vmap_and_jit():
    def loss(theta):
        return (compose(inverse(theta), theta) ** 2).sum()

    gradient = jax.jit(jax.vmap(jax.grad(loss)))(np.stack([A, B]))
    chex.assert_trees_all_close(np.asarray(gradient), np.zeros((2, 2, 3), np.float32), atol=1e-4)


def test_a_theta_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"affine theta must have shape \(2, 3\), got \(6,\)"):
        affine_grid(np.zeros(6), (3, 3))
