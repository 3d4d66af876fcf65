"""An ONNX graph that is being built, and the values in it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from onnx import ModelProto, NodeProto, checker, helper, numpy_helper

from stn_jax.errors import UserError

OPSET = 20
"""The first one whose `GridSample` has its final form; onnxruntime has it since 1.17."""

_IR_VERSION = 9  # the one of that opset

EMPTY = ""
"""The name of a tensor without any numbers, which ONNX cannot reshape."""

Shape = tuple[Any, ...]  # of integers and of dimensions that JAX knows by their names only


class Tensor(NamedTuple):
    """A value that is known only when the graph runs."""

    name: str
    shape: Shape
    dtype: np.dtype[Any]


Value = Tensor | np.ndarray
"""What an operation reads: a tensor, or an array that is known already."""


class Graph:
    """Collects the nodes and the constants of a graph with one input and one output.

    The graph computes in float32, int64 and bool: all integers are int64, except those of the
    input.

    Args:
        name: the name of the input.
        shape: its shape, where a text such as "b" stands for any size.
        dtype: its dtype.
    """

    def __init__(self, name: str, shape: Sequence[int | str], dtype: np.dtype[Any]):
        sizes = jax.export.symbolic_shape(", ".join(map(str, shape)))
        self.input = Tensor(name, tuple(sizes), dtype)
        self._nodes: list[NodeProto] = []
        self._made_by: dict[str, tuple[str, tuple[Value, ...]]] = {}
        self.pooled: dict[str, tuple[Value, tuple[int, ...]]] = {}  # from what, in which windows
        self._constants: dict[Any, tuple[str, np.ndarray]] = {}
        self._sizes: dict[Any, str] = {}

    def add(
        self,
        operator: str,
        *inputs: Value,
        shape: Shape,
        dtype: Any = np.float32,
        unused: Sequence[str] = (),
        **attributes: Any,
    ) -> Tensor:
        """Adds a node; returns its output, of which `shape` and `dtype` must be told.

        `unused` names the node's further outputs.
        """
        output = Tensor(f"{operator}_{len(self._nodes)}", tuple(shape), np.dtype(dtype))
        names = [self._name(value) for value in inputs]
        outputs = [output.name, *(f"{output.name}_{name}" for name in unused)]
        self._nodes.append(helper.make_node(operator, names, outputs, **attributes))
        self._made_by[output.name] = operator, inputs
        return output

    def made_by(self, value: Value) -> tuple[str, tuple[Value, ...]]:
        """Returns the operator and the inputs of the node that a value comes from, if from one."""
        return self._made_by.get(value.name, ("", ())) if isinstance(value, Tensor) else ("", ())

    def reshaped(self, value: Value, shape: Shape) -> Value:
        """Reshapes a value; one size at most may be unknown."""
        if value.shape == tuple(shape):
            return value
        if isinstance(value, np.ndarray):
            return value.reshape(shape)
        sizes = [size if isinstance(size, int) else -1 for size in shape]
        if sizes.count(-1) > 1:
            raise UserError(f"ONNX: cannot reshape {value.shape} to {tuple(shape)}")
        return self.add("Reshape", value, np.array(sizes), shape=shape, dtype=value.dtype)

    def expanded(self, value: Value, shape: Shape) -> Tensor:
        """Repeats a value of the same rank along its axes of size 1."""
        sizes: Value = np.array([size for size in shape if isinstance(size, int)], np.int64)
        if len(sizes) < len(shape):
            parts = (np.array([x]) if isinstance(x, int) else self._size(x) for x in shape)
            sizes = self.add("Concat", *parts, shape=(len(shape),), dtype=np.int64, axis=0)
        return self.add("Expand", value, sizes, shape=shape, dtype=value.dtype)

    def transposed(self, value: Value, order: Sequence[int]) -> Value:
        """Transposes a value."""
        if list(order) == sorted(order):
            return value
        if isinstance(value, np.ndarray):
            return value.transpose(order)
        shape = tuple(value.shape[axis] for axis in order)
        return self.add("Transpose", value, shape=shape, dtype=value.dtype, perm=list(order))

    def model(self, output: Value, name: str) -> ModelProto:
        """Returns the model whose output, named `name`, is a value of this graph."""
        self._nodes.append(helper.make_node("Identity", [self._name(output)], [name]))
        nodes, needed = [], {name}
        for node in reversed(self._nodes):
            if needed.intersection(node.output):
                nodes.append(node)
                needed.update(node.input)
        graph = helper.make_graph(
            nodes[::-1],
            "stn_jax",
            [_described(self.input)],
            [_described(Tensor(name, output.shape, output.dtype))],
            [numpy_helper.from_array(x, n) for n, x in self._constants.values() if n in needed],
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR_VERSION,
            producer_name="stn_jax",
        )
        checker.check_model(model, full_check=True)
        return model

    def _name(self, value: Value) -> str:
        if isinstance(value, Tensor):
            if value.name == EMPTY:
                raise UserError("ONNX: an array without any numbers is not supported here")
            return value.name
        array = np.ascontiguousarray(value, stored_dtype(value.dtype)).reshape(value.shape)
        key = array.dtype, array.shape, array.tobytes()
        name, _ = self._constants.setdefault(key, (f"constant_{len(self._constants)}", array))
        return name

    def _size(self, size: Any) -> Tensor:
        """Returns a size of the input that is unknown, as an array of one number."""
        if size not in self.input.shape:
            raise UserError(f"ONNX: the size {size} is not one of the input's")
        axis = self.input.shape.index(size)
        if size not in self._sizes:
            found = self.add(
                "Shape", self.input, shape=(1,), dtype=np.int64, start=axis, end=axis + 1
            )
            self._sizes[size] = found.name
        return Tensor(self._sizes[size], (1,), np.dtype(np.int64))


def stored_dtype(dtype: Any) -> np.dtype[Any]:
    """Returns the dtype that stands for one of JAX's; raises UserError if there is none."""
    dtype = np.dtype(dtype)
    if dtype in (np.float32, np.bool_):
        return dtype
    if np.issubdtype(dtype, np.integer):
        return np.dtype(np.int64)
    raise UserError(f"ONNX: {dtype} is not supported: compute in float32")


def _described(value: Tensor) -> Any:
    kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    sizes = [size if isinstance(size, int) else str(size) for size in value.shape]
    return helper.make_tensor_value_info(value.name, kind, sizes)
