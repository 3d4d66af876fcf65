"""Lowers a primitive for arrays that are sharded over devices: each device computes its own part.

Without this, XLA would collect the whole operands on every device in order to call a kernel.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.experimental.custom_partitioning import custom_partitioning
from jax.extend.core import Primitive
from jax.interpreters import mlir
from jax.sharding import Mesh, PartitionSpec, Sharding

from stn_jax.native.signature import Signature

Lowering = Callable[..., Any]
"""(ctx, *operands, **params) -> values, a rule that JAX uses to lower a primitive."""


def partitioned(
    primitive: Primitive, signature: Signature, *, on_one_device: Lowering, plain: Lowering
) -> Lowering:
    """Returns a lowering that uses `on_one_device` on each device.

    It uses `plain` where that is not possible; XLA then partitions the plain operations.
    """
    parts = mlir.lower_fun(_in_parts, multiple_results=False)

    def lowering(ctx, *operands, **params):
        module = ctx.module_context
        context = module.axis_context
        if hasattr(context, "manual_axes"):  # inside `jax.shard_map` or `jax.pmap`
            is_manual = set(context.manual_axes) == set(context.mesh.axis_names)
            return (on_one_device if is_manual else plain)(ctx, *operands, **params)
        if context.num_devices == 1:
            return on_one_device(ctx, *operands, **params)
        exported = module.lowering_parameters.for_export
        # Inside `jax.set_mesh` with explicit axes, JAX 0.12 cannot compile the parts.
        is_explicit = bool(jax.sharding.get_abstract_mesh().explicit_axes)
        if exported or is_explicit:  # maybe on a machine where JAX may not use the CPU
            return plain(ctx, *operands, **params)
        devices = tuple(jax.devices("cpu"))[: context.num_devices]
        if len(devices) < context.num_devices:
            return plain(ctx, *operands, **params)
        # Which devices these are makes no difference: the program is the same for all.
        context = dataclasses.replace(context, device_assignment=devices)
        ctx = ctx.replace(module_context=module.replace(axis_context=context))
        return parts(ctx, *operands, primitive=primitive, signature=signature, params=params)

    return lowering


def _in_parts(
    *operands: jax.Array, primitive: Primitive, signature: Signature, params: dict[str, Any]
) -> jax.Array:
    def on_each_device(_, operand_shapes, output_shape):
        shapes = (*operand_shapes, output_shape)
        mesh, specs = mesh_of([x.sharding for x in shapes], [x.ndim for x in shapes])
        plan = signature.plan(mesh, specs)

        def part(*parts):
            output = primitive.bind(*parts, **params)
            return lax.psum(output, plan.summed_over) if plan.summed_over else output

        return mesh, part, plan.output, plan.operands

    @custom_partitioning
    def whole(*operands):
        return primitive.bind(*operands, **params)

    names, output = signature.names(signature.batch_ndim(operands))
    every = dict.fromkeys(axis for axes in (*names, output) for axis in axes)  # in order
    whole.def_partition(
        on_each_device,
        decode_shardings=False,  # JAX knows the user's mesh only if the program needs devices
        sharding_rule=f"{', '.join(map(' '.join, names))} -> {' '.join(output)}",
        reduction_factors=tuple(
            axis for axis in every if signature.may_split(axis) and axis not in output
        ),
        need_replication_factors=tuple(axis for axis in every if not signature.may_split(axis)),
    )
    return whole(*operands)


def mesh_of(
    shardings: Sequence[Sharding], ndims: Sequence[int]
) -> tuple[Mesh, list[PartitionSpec]]:
    """Returns a mesh, and the specs on that mesh that describe shardings of arrays.

    The shardings are those of arrays on the same devices, in XLA's form, which has no mesh. If no
    mesh describes them all, the arrays are taken to be whole on each device.

    Args:
        shardings: the shardings.
        ndims: the numbers of axes of the arrays.
    """
    count = shardings[0].num_devices
    # With `count` numbers along each axis, all parts have the same size.
    maps = [
        sharding.devices_indices_map((count,) * ndim)
        for sharding, ndim in zip(shardings, ndims, strict=True)
    ]
    devices = list(maps[0])
    starts = [
        np.array([[part.start or 0 for part in parts] for parts in of_device.values()]).T
        for of_device in maps
    ]
    for sizes in _factorisations(count):
        mesh = Mesh(np.array(devices).reshape(sizes), tuple(f"axis{i}" for i in range(len(sizes))))
        specs = [[_mesh_axes(axis, mesh) for axis in array] for array in starts]
        if all(axes is not None for spec in specs for axes in spec):
            return mesh, [PartitionSpec(*(axes or None for axes in spec)) for spec in specs]
    return mesh, [PartitionSpec(*[None] * ndim) for ndim in ndims]


def _mesh_axes(starts: np.ndarray, mesh: Mesh) -> tuple[str, ...] | None:
    """Returns the axes of the mesh that an axis of an array is sharded over; None if none fit.

    Args:
        starts: where each device's part starts, in parts of 1 / (number of devices).
        mesh: the mesh.
    """
    starts = starts.reshape(mesh.devices.shape)
    strides = [np.take(starts, 1, axis).flat[0] - starts.flat[0] for axis in range(starts.ndim)]
    split = sorted((i for i in range(starts.ndim) if strides[i]), key=lambda i: -strides[i])
    block, blocks = np.zeros(starts.shape, int), 1
    for i in split:
        blocks *= starts.shape[i]
        block = block * starts.shape[i] + np.indices(starts.shape)[i]
    is_described = np.array_equal(block * (starts.size // blocks), starts)
    return tuple(mesh.axis_names[i] for i in split) if is_described else None


def _factorisations(number: int) -> Iterator[tuple[int, ...]]:
    """Yields the prime factors of a number, in every order."""
    if number == 1:
        yield ()
    for factor in range(2, number + 1):
        if number % factor == 0 and all(factor % smaller for smaller in range(2, factor)):
            yield from ((factor, *others) for others in _factorisations(number // factor))
