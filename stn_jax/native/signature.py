"""The axes of a primitive's operands and result, and what may be done along them."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

Names = tuple[str, ...]
_MeshAxes = str | tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Signature:
    """The axes of a primitive, one letter each, behind any number of batch axes.

    Attributes:
        axes: the axes of each operand and of the result, such as "hwc,ijd->ijc".
        split: the axes along which arrays may be sharded over devices. The primitive computes the
            parts of its result along them independently, or sums over those that the result lacks.
            Batch axes may always be sharded.
        fold: the axes that can take in a batch axis: if the operands that have the axis are
            batched and the others are not, the examples become one longer axis.
    """

    axes: str
    split: str
    fold: str

    @property
    def operands(self) -> list[str]:
        """The axes of each operand."""
        return self.axes.split("->")[0].split(",")

    @property
    def output(self) -> str:
        """The axes of the result."""
        return self.axes.split("->")[1]

    def batch_ndim(self, operands: Sequence[Any]) -> int:
        """Returns the number of batch axes of these operands."""
        return operands[0].ndim - len(self.operands[0])

    def vectorize(self, fun: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        """Returns `fun`, which computes without batch axes, as a function that accepts them."""
        *operands, output = (f"({','.join(axes)})" for axes in (*self.operands, self.output))
        signature = f"{','.join(operands)}->{output}"

        def vectorized(*operands, **params):
            return jnp.vectorize(functools.partial(fun, **params), signature=signature)(*operands)

        return vectorized

    def names(self, batch_ndim: int) -> tuple[list[Names], Names]:
        """Returns the names of all axes of the operands and of the result."""
        *operands, output = (
            (*(f"batch{i}" for i in range(batch_ndim)), *axes)
            for axes in (*self.operands, self.output)
        )
        return operands, output

    def may_split(self, name: str) -> bool:
        """Returns whether arrays may be sharded along the axis with this name."""
        return name.startswith("batch") or name in self.split

    def fold_axis(self, is_batched: Sequence[bool]) -> str | None:
        """Returns the axis that can take in a batch axis which only some operands have."""
        batched = [axes for axes, yes in zip(self.operands, is_batched, strict=True) if yes]
        shared = [axes for axes, yes in zip(self.operands, is_batched, strict=True) if not yes]
        for letter in self.fold:
            in_batched = all(letter in axes for axes in (*batched, self.output))
            if in_batched and not any(letter in axes for axes in shared):
                return letter
        return None

    def shardings(
        self, name: str, operands: Sequence[Any]
    ) -> tuple[list[NamedSharding], NamedSharding]:
        """Returns the shardings of the operands and of the result, given the operands' types.

        An operand may be whole along an axis that is sharded in another one, which decides.

        Raises:
            ValueError: an operand is sharded along an axis that must be whole, or two operands are
                sharded along an axis in different ways.
        """
        names, output = self.names(self.batch_ndim(operands))
        meshes = [x.sharding.mesh for x in operands if not x.sharding.mesh.empty]
        mesh = meshes[0] if meshes else jax.sharding.get_abstract_mesh()
        specs = [x.sharding.spec for x in operands]
        axes_of: dict[str, _MeshAxes] = {}
        for axis, mesh_axes in _sharded(names, specs):
            if not self.may_split(axis) or axes_of.setdefault(axis, mesh_axes) != mesh_axes:
                raise ValueError(
                    f"{name} cannot use operands that are sharded like {specs}: "
                    "shard only their batch axes, for example with jax.sharding.reshard"
                )
        *joint, result = (
            NamedSharding(mesh, PartitionSpec(*(axes_of.get(axis) for axis in axes)))
            for axes in (*names, output)
        )
        return joint, result

    def plan(self, mesh: Mesh, suggested: Sequence[PartitionSpec]) -> "Plan":
        """Returns the shardings to compute with, given those that XLA suggests.

        Args:
            mesh: the mesh.
            suggested: the specs of the operands and of the result.
        """
        names, output_names = self.names(len(suggested[0]) - len(self.operands[0]))
        axes_of: dict[str, Names] = {}
        for axis, mesh_axes in _sharded([*names, output_names], suggested):
            mesh_axes = (mesh_axes,) if isinstance(mesh_axes, str) else tuple(mesh_axes)
            taken = set().union(*axes_of.values())
            if self.may_split(axis) and axis not in axes_of and taken.isdisjoint(mesh_axes):
                axes_of[axis] = mesh_axes

        def sharding(axes: Names) -> NamedSharding:
            return NamedSharding(mesh, PartitionSpec(*(axes_of.get(axis) for axis in axes)))

        missing = [axis for axis in axes_of if axis not in output_names]
        return Plan(
            operands=tuple(sharding(axes) for axes in names),
            output=sharding(output_names),
            summed_over=tuple(mesh_axis for axis in missing for mesh_axis in axes_of[axis]),
        )


class Plan(NamedTuple):
    """How a primitive is computed in parts, one on each device."""

    operands: tuple[NamedSharding, ...]
    output: NamedSharding
    summed_over: Names  # axes of the mesh, over which the parts are added up


def _sharded(
    names: Iterable[Names], specs: Iterable[PartitionSpec]
) -> Iterator[tuple[str, _MeshAxes]]:
    """Yields the axes that are sharded, and the axes of the mesh that they are sharded over."""
    for axes, spec in zip(names, specs, strict=True):
        for axis, mesh_axes in zip(axes, spec, strict=False):  # a spec may be shorter
            if mesh_axes:
                yield axis, mesh_axes
