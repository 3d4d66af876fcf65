"""The public functions of the library with the shapes of small operands, to try on any platform."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

import stn_jax
import stn_jax.nnx
from stn_jax import functional, linen
from stn_jax.sampling import PADDINGS, splat, spline_coefficients
from stn_jax.transforms import FAMILIES, make_family


def _array(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, "float32")


_IMAGES, _GRIDS, _KERNEL = _array(2, 8, 9, 3), _array(2, 5, 6, 2), _array(3, 3, 3, 4)


def _linen_transformer(images):
    module = linen.SpatialTransformer(linen.FullyConnectedLocalisation("affine"))
    return module.init_with_output(jax.random.key(0), images)[0]


def _nnx_transformer(images):
    localisation = stn_jax.nnx.FullyConnectedLocalisation(
        images.shape[1:], "affine", rngs=nnx.Rngs(0)
    )
    return stn_jax.nnx.SpatialTransformer(localisation)(images)


def _spatial_transform(family):
    def run(images, moves):  # near the identity, as anything could be degenerate
        theta = jnp.asarray(family.identity).reshape(family.num_params) + 0.1 * moves
        return stn_jax.spatial_transform(images, theta, family)[0]

    return run, (_IMAGES, _array(2, family.num_params))


FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[jax.ShapeDtypeStruct, ...]]] = {
    "SpatialTransformer": (_linen_transformer, (_IMAGES,)),
    "nnx.SpatialTransformer": (_nnx_transformer, (_IMAGES,)),
    "average_pool": (lambda images: functional.average_pool(images, 2), (_IMAGES,)),
    "convolution": (functional.convolution, (_IMAGES, _KERNEL)),
    "max_pool_2x2": (functional.max_pool_2x2, (_IMAGES,)),
    **{
        f"sample, {method}, {padding}": (
            jax.vmap(functools.partial(stn_jax.sample, method=method, padding=padding)),
            (_IMAGES, _GRIDS),
        )
        for method in ("nearest", "linear", "cubic", "bspline3")
        for padding in PADDINGS
    },
    "sample, signals": (jax.vmap(stn_jax.sample), (_array(2, 9, 3), _array(2, 7, 1))),
    "sample, volumes": (jax.vmap(stn_jax.sample), (_array(2, 4, 5, 6, 3), _array(2, 7, 3))),
    "spline_coefficients": (
        jax.vmap(functools.partial(spline_coefficients, order=3)),
        (_IMAGES,),
    ),
    "splat": (jax.vmap(functools.partial(splat, shape=(8, 9))), (_array(2, 5, 6, 3), _GRIDS)),
    **{f"spatial_transform, {name}": _spatial_transform(make_family(name)) for name in FAMILIES},
}


def with_derivatives(function: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Returns a function of the operands that returns values, tangents and gradients."""

    def run(*operands):
        values, tangents = jax.jvp(function, operands, operands)
        _, back = jax.vjp(function, *operands)
        return {"values": values, "tangents": tangents, "gradients": back(values)}

    return run
