"""What users do with functions in JAX: each transformation of a warp gives the warp's values."""

import copy
import pickle

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import stn_jax
from stn_jax import linen
from stn_jax.transforms import FAMILIES, make_family

IMAGE = np.random.default_rng(0).uniform(size=(5, 6, 2)).astype(np.float32)


def warp(name, params, image=IMAGE, **options):
    family = make_family(name)
    grid = family.sampling_grid(params, (3, 4), source_shape=image.shape[:2])
    return stn_jax.sample(image, grid, **options)


def in_scan(f, x):
    return lax.scan(lambda carry, _: (carry, f(carry)), x, None, length=2)[1][1]


def in_while(f, x):
    return lax.fori_loop(0, 2, lambda _, value: f(x) + 0 * value, jnp.zeros_like(f(x)))


FORMS = {
    "jit": lambda f, x: jax.jit(f)(x),
    "donated": lambda f, x: jax.jit(lambda x: (f(x), x + 1), donate_argnums=0)(jnp.array(x))[0],
    "checkpoint": lambda f, x: jax.checkpoint(f)(x),
    "scan": in_scan,
    "loop": in_while,
    "map": lambda f, x: lax.map(f, x[None])[0],
    "cond": lambda f, x: lax.cond(jnp.sum(x) < 99, f, lambda x: 0 * f(x), x),
    "cond of a batch": lambda f, x: jax.vmap(
        lambda x: lax.cond(jnp.sum(x) < 99, f, lambda x: 0 * f(x), x)
    )(x[None])[0],
    "vmap of jit": lambda f, x: jax.vmap(jax.jit(f), in_axes=1, out_axes=1)(x[:, None])[:, 0],
    "linearize": lambda f, x: jax.linearize(jax.jit(f), x)[0],
    "vjp of vmap of checkpoint": lambda f, x: jax.vjp(jax.vmap(jax.checkpoint(f)), x[None])[0][0],
    "evaluated jaxpr": lambda f, x: jax.extend.core.jaxpr_as_fun(jax.make_jaxpr(f)(x))(x)[0],
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form):
    def function(params):
        return warp("tps", params)

    params = jnp.array(make_family("tps").identity) + 0.05
    assert jax.eval_shape(function, params).shape == (3, 4, 2)
    chex.assert_trees_all_close(FORMS[form](function, params), function(params), atol=1e-5)
    if form not in ("donated", "loop"):  # JAX differentiates neither backward

        def slope(function):
            return jax.grad(lambda params: jnp.sum(function(params) ** 2))(params)

        ours = slope(lambda params: FORMS[form](function, params))
        chex.assert_trees_all_close(ours, slope(function), atol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_lists_and_other_numbers_are_taken(name):
    params = np.round(8 * np.array(make_family(name).identity)) / 8  # exact in half precision
    expected = warp(name, jnp.array(params, jnp.float32))
    kinds = [params, params.tolist(), np.float16(params), [jnp.float32(x) for x in params]]
    if np.all(params == np.round(params)):
        kinds += [params.astype(int), [int(x) for x in params]]
    for kind in kinds:
        output = warp(name, kind)
        assert output.dtype == jnp.float32 and not output.weak_type
        np.testing.assert_array_equal(output, expected)


def test_batches_may_share_the_image_or_the_grid():
    thetas = jnp.tile(jnp.array([0.8, 0.1, 0.0]), (3, 1)) * jnp.array([[1.0], [0.9], [0.8]])
    expected = jnp.stack([warp("attention", theta) for theta in thetas])
    for axis in (0, 1):
        batch = jax.vmap(lambda x: warp("attention", x), axis, axis)(jnp.moveaxis(thetas, 0, axis))
        chex.assert_trees_all_close(jnp.moveaxis(batch, axis, 0), expected, atol=1e-6)
    images = jnp.stack([IMAGE, 2 * IMAGE], axis=2)
    batch = jax.vmap(lambda image: warp("attention", thetas[0], image), in_axes=2)(images)
    chex.assert_trees_all_close(batch, jnp.stack([expected[0], 2 * expected[0]]), atol=1e-6)


def test_modules_are_static_arguments():
    def module():
        network = linen.ConvLocalisation("tps", (2,), (3,), padding="SAME")
        return linen.SpatialTransformer(network, output_shape=(3, 4))

    images = jnp.asarray(IMAGE[None])
    variables = module().init(jax.random.key(0), images)
    apply = jax.jit(lambda module, *args: module.apply(*args), static_argnums=0)
    copies = [module(), copy.copy(module()), copy.deepcopy(module()), module().clone()]
    copies.append(pickle.loads(pickle.dumps(module())))
    for again in copies:
        assert again == module() and hash(again) == hash(module())
        apply(again, variables, images)
    assert apply._cache_size() == 1
