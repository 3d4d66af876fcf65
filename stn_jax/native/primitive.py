"""Makes JAX primitives that use a C++ kernel on the CPU and plain JAX everywhere else.

A primitive needs more code than `jax.custom_vjp`, but it supports forward mode and second
derivatives: the caller registers the derivative, and JAX applies it in both modes and at any order.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir

from stn_jax.native import library

BatchRule = Callable[..., jax.Array]
"""(primitive, operands, is_batched, params) -> result, with the batch axis first in the result.

In `operands`, those that are batched have the batch axis first.
"""

_Rule = Callable[..., Any]  # how JAX lowers a primitive


def native_primitive(
    name: str,
    fun: Callable[..., jax.Array],
    *,
    params: Sequence[str],
    batch: BatchRule,
    on_cpu: Callable[..., jax.Array] | None = None,
) -> Primitive:
    """Returns a primitive that computes `fun(*operands, **params)`.

    The caller adds the derivative: `ad.primitive_jvps` and `ad.primitive_transposes`.

    Args:
        name: the primitive's name. If there is a kernel of the same name, the CPU uses it.
        fun: the computation in plain JAX. It determines the shape and the dtype of the result.
        params: the names of the static parameters, which are integers.
        batch: the batching rule for `jax.vmap`.
        on_cpu: an alternative to `fun` that is faster on a CPU, used there without the kernel.
    """
    primitive = Primitive(name)

    def abstract(*operands, **options):
        (output,) = jax.make_jaxpr(functools.partial(fun, **options))(*operands).out_avals
        return output

    def batch_rule(operands, axes, **options):
        leading = [
            x if axis is None else jnp.moveaxis(x, axis, 0)
            for x, axis in zip(operands, axes, strict=True)
        ]
        return batch(primitive, leading, [axis is not None for axis in axes], options), 0

    primitive.def_impl(jax.jit(primitive.bind, static_argnames=params))
    primitive.def_abstract_eval(abstract)
    batching.primitive_batchers[primitive] = batch_rule
    everywhere = mlir.lower_fun(fun, multiple_results=False)
    mlir.register_lowering(primitive, everywhere)
    without_kernel = mlir.lower_fun(on_cpu, multiple_results=False) if on_cpu else everywhere
    if name in library.KERNELS:
        rule = _cpu_lowering(name, everywhere, without_kernel)
        mlir.register_lowering(primitive, rule, platform="cpu")
    return primitive


def _cpu_lowering(name: str, everywhere: _Rule, without_kernel: _Rule) -> _Rule:
    kernel = jax.ffi.ffi_lowering(library.target_name(name))

    def lowering(ctx, *operands, **params):
        # The kernel needs whole arrays, so it cannot be used if their type says that they are
        # sharded over devices.
        if any(any(aval.sharding.spec) for aval in ctx.avals_in):
            return everywhere(ctx, *operands, **params)
        # An exported program may run on a machine without the kernels. These support only float32.
        exported = ctx.module_context.lowering_parameters.for_export
        wide = ctx.avals_out[0].dtype != np.float32
        if exported or wide or not library.is_available():
            return without_kernel(ctx, *operands, **params)
        return kernel(ctx, *operands, **{key: np.int64(value) for key, value in params.items()})

    return lowering


def leading_batch(operands: Sequence[jax.Array], is_batched: Sequence[bool]) -> list[jax.Array]:
    """Returns all operands with the batch axis first; those without one are broadcast."""
    length = next(len(x) for x, batched in zip(operands, is_batched, strict=True) if batched)
    return [
        x if batched else jnp.broadcast_to(x, (length, *x.shape))
        for x, batched in zip(operands, is_batched, strict=True)
    ]
