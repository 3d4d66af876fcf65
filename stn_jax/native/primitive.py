"""Makes JAX primitives that use a C++ kernel on the CPU and plain JAX everywhere else.

A primitive needs more code than `jax.custom_vjp`, but it supports forward mode and second
derivatives: the caller registers the derivative, and JAX applies it in both modes and at any order.
"""

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir
from jax.sharding import NamedSharding, PartitionSpec

from stn_jax.native import library
from stn_jax.native.jet_rule import add_jet_rule
from stn_jax.native.partitioning import Lowering, partitioned
from stn_jax.native.signature import Signature

_plain_operations = jax.make_user_context(False)


def plain_operations() -> contextlib.AbstractContextManager[None]:
    """Returns a context in which functions are traced to JAX's own operations only.

    Use it for tools that read a traced function and do not know the primitives of this library,
    such as converters to other formats. Values and derivatives are the same up to rounding, but
    slower to compute on a CPU.

    >>> with stn_jax.plain_operations():
    ...     traced = jax.make_jaxpr(stn_jax.sample)(jnp.ones((4, 4, 1)), jnp.zeros((2, 2, 2)))
    >>> "linear_2d_read" in str(traced)
    False
    """
    return _plain_operations(True)


class NativePrimitive(Primitive):
    """A primitive that computes `fun(*operands, **params)`, and on some platforms another one."""

    def __init__(
        self,
        name: str,
        fun: Callable[..., jax.Array],
        signature: Signature,
        on_others: Mapping[str, Callable[..., jax.Array]],
    ) -> None:
        super().__init__(name)
        self.fun = fun
        self.signature = signature
        self.on_others = on_others

    def bind(self, *operands, **params):
        if _plain_operations.value:
            return self.fun(*operands, **params)
        return super().bind(*self._aligned(operands), **params)

    def _aligned(self, operands):
        """Gives all operands types that agree, so that a cotangent has the type of its operand.

        Under `jax.shard_map`, some may be the same on all devices while others vary. On a mesh with
        explicit sharding, some may be sharded while others are whole.
        """
        types = [jax.typeof(x) for x in operands]
        joint = frozenset().union(*(x.manual_axis_type.varying for x in types))
        operands = [
            lax.pcast(x, tuple(joint - of_x.manual_axis_type.varying), to="varying")
            for x, of_x in zip(operands, types, strict=True)
        ]
        if not any(any(x.sharding.spec) for x in types):
            return operands
        shardings, _ = self.signature.shardings(self.name, types)
        return [
            x if of_x.sharding.spec == sharding.spec else jax.sharding.reshard(x, sharding)
            for x, of_x, sharding in zip(operands, types, shardings, strict=True)
        ]


def native_primitive(
    name: str,
    fun: Callable[..., jax.Array],
    signature: Signature,
    *,
    params: Sequence[str],
    on_cpu: Callable[..., jax.Array] | None = None,
    on_others: Mapping[str, Callable[..., jax.Array]] | None = None,
    kernel: str | None = None,
    kernel_options: Mapping[str, int | float] | None = None,
    kernel_takes_batches: bool = True,
) -> NativePrimitive:
    """Returns a primitive that computes `fun(*operands, **params)`.

    All operands may have batch axes, the same for all, which all functions must accept.

    The caller adds the derivative: `ad.primitive_jvps` and `ad.primitive_transposes`.

    Args:
        name: the primitive's name.
        fun: the computation in plain JAX. It determines the shape and the dtype of the result.
        signature: the axes of the operands and of the result.
        params: the names of the static parameters. The kernel receives those that are integers or
            tuples of integers.
        on_cpu: an alternative to `fun` that is faster on a CPU, used there without the kernel.
        on_others: alternatives to `fun` that are faster on other platforms, by platform.
        kernel: the name of the kernel that the CPU uses, if it is not the primitive's.
        kernel_options: further static parameters for the kernel.
        kernel_takes_batches: whether the kernel accepts batch axes too.
    """

    def whole(fun):
        def computed(*operands, **options):
            one = functools.partial(fun, **options)
            types = [jax.typeof(x) for x in operands]
            if any(any(x.sharding.spec) for x in types):
                # JAX has no rules for explicit sharding for some of the operations.
                _, sharding = signature.shardings(name, types)
                one = jax.sharding.auto_axes(one, out_sharding=sharding)
            return one(*operands)

        return computed

    def abstract(*operands, **options):
        shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in operands]
        output = jax.eval_shape(functools.partial(fun, **options), *shapes)
        return operands[0].update(
            shape=output.shape,
            dtype=output.dtype,
            weak_type=False,
            sharding=signature.shardings(name, operands)[1],
        )

    others = {platform: whole(function) for platform, function in (on_others or {}).items()}
    primitive = NativePrimitive(name, whole(fun), signature, others)
    jitted = jax.jit(primitive.bind, static_argnames=params)

    def implementation(*operands, **options):
        # Inside `jax.disable_jit()`, JAX would call this function again and again.
        with jax.disable_jit(False):
            return jitted(*operands, **options)

    primitive.def_impl(implementation)
    add_jet_rule(primitive)
    primitive.def_abstract_eval(abstract)
    batching.primitive_batchers[primitive] = functools.partial(_batch, primitive)
    plain = mlir.lower_fun(primitive.fun, multiple_results=False)
    mlir.register_lowering(primitive, plain)
    for platform, function in others.items():
        rule = mlir.lower_fun(function, multiple_results=False)
        mlir.register_lowering(primitive, rule, platform=platform)
    on_one_device = mlir.lower_fun(on_cpu, multiple_results=False) if on_cpu else plain
    kernel = kernel or name
    if kernel in library.KERNELS:
        most_axes = None if kernel_takes_batches else len(signature.operands[0])
        on_one_device = _with_kernel(kernel, kernel_options or {}, on_one_device, most_axes)
    rule = partitioned(primitive, signature, on_one_device=on_one_device, plain=plain)
    mlir.register_lowering(primitive, rule, platform="cpu")
    return primitive


def _with_kernel(
    name: str,
    options: Mapping[str, int | float],
    without_kernel: Lowering,
    most_axes: int | None,
) -> Lowering:
    kernel = jax.ffi.ffi_lowering(library.target_name(name))
    fixed = {key: _attribute(x) for key, x in options.items()}

    def lowering(ctx, *operands, **params):
        # An exported program may run on a machine without the kernels. These support only float32.
        exported = ctx.module_context.lowering_parameters.for_export
        float32 = all(aval.dtype == np.float32 for aval in (*ctx.avals_in, *ctx.avals_out))
        fits = most_axes is None or ctx.avals_in[0].ndim <= most_axes
        if exported or not float32 or not fits or not library.is_available():
            return without_kernel(ctx, *operands, **params)
        integers = {
            key: _attribute(x)
            for key, x in params.items()
            if all(isinstance(i, int) for i in (x if isinstance(x, tuple) else (x,)))
        }
        return kernel(ctx, *operands, **integers, **fixed)

    return lowering


def _attribute(value: int | float | tuple[int, ...]) -> np.generic | np.ndarray:
    """Converts a static parameter to the type that kernels expect: 64 bits."""
    return np.asarray(value, np.float64 if isinstance(value, float) else np.int64)[()]


def _batch(primitive, operands, batch_axes, **params):
    """Applies a primitive to operands of which some have one more batch axis than the others."""
    is_batched = [axis is not None for axis in batch_axes]
    operands = [
        x if axis is None else jnp.moveaxis(x, axis, 0)
        for x, axis in zip(operands, batch_axes, strict=True)
    ]
    length = next(x.shape[0] for x, yes in zip(operands, is_batched, strict=True) if yes)
    signature = primitive.signature
    letter = signature.fold_axis(is_batched)
    if letter is None:
        sharding = next(
            jax.typeof(x).sharding for x, yes in zip(operands, is_batched, strict=True) if yes
        )
        operands = [
            x if yes else _broadcast(x, length, sharding)
            for x, yes in zip(operands, is_batched, strict=True)
        ]
        return primitive.bind(*operands, **params), 0
    # What the examples share is not copied: they become one example with a longer axis.
    folded = [
        _fold(x, axes.index(letter) - len(axes)) if yes else x
        for x, axes, yes in zip(operands, signature.operands, is_batched, strict=True)
    ]
    output = primitive.bind(*folded, **params)
    axis = signature.output.index(letter) - len(signature.output)
    size = next(
        x.shape[axes.index(letter) - len(axes)]
        for x, axes in zip(operands, signature.operands, strict=True)
        if letter in axes
    )
    return _unfold(output, axis, (length, size)), 0


def _broadcast(x: jax.Array, length: int, like: NamedSharding) -> jax.Array:
    """Adds a first axis with this length, sharded by its type like the first one of `like`."""
    if not any(like.spec):
        return jnp.broadcast_to(x, (length, *x.shape))
    sharding = NamedSharding(like.mesh, PartitionSpec(like.spec[0], *jax.typeof(x).sharding.spec))
    return lax.broadcast(x, (length,), out_sharding=sharding)


def _fold(x: jax.Array, axis: int) -> jax.Array:
    """Merges the first axis into another one, which is counted from the end."""
    axis += x.ndim
    x = jnp.moveaxis(x, 0, axis - 1)
    merged = x.shape[axis - 1] * x.shape[axis]
    return x.reshape(*x.shape[: axis - 1], merged, *x.shape[axis + 1 :])


def _unfold(x: jax.Array, axis: int, sizes: tuple[int, int]) -> jax.Array:
    """Splits an axis, which is counted from the end, into the first axis and the rest."""
    axis += x.ndim
    x = x.reshape(*x.shape[:axis], *sizes, *x.shape[axis + 1 :])
    return jnp.moveaxis(x, axis, 0)
