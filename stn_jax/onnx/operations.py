"""What stands in ONNX for each operation of JAX, and for those of this library.

A rule takes the graph, the result's shape and dtype, the operands and the parameters of JAX. It
returns the result, a list of several, or NotImplemented if it does not cover the case.
"""

import string
from collections.abc import Callable
from typing import Any

import numpy as np
from jax.lax import RoundingMethod
from onnx import helper

from stn_jax.onnx.graph import Graph, Shape, Tensor, Value, stored_dtype

Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}

_FAR = np.iinfo(np.int64).max
"""A place behind the end of any axis."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


_ELEMENTWISE = {
    **{"add": "Add", "sub": "Sub", "mul": "Mul", "min": "Min"},
    **{"eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"},
    **{"lt_to": "Less", "le_to": "LessOrEqual", "pow": "Pow"},
    **{"and": "And", "or": "Or", "not": "Not"},
    **{"neg": "Neg", "abs": "Abs", "sign": "Sign", "floor": "Floor", "ceil": "Ceil"},
    **{"exp": "Exp", "log": "Log", "sqrt": "Sqrt", "tanh": "Tanh", "logistic": "Sigmoid"},
    **{"sin": "Sin", "cos": "Cos", "erf": "Erf", "copy": "Identity", "stop_gradient": "Identity"},
}


def _elementwise(operator: str) -> Rule:
    def add(graph: Graph, output: Any, *values: Value, **_: Any) -> Any:
        return graph.add(operator, *values, shape=output.shape, dtype=stored_dtype(output.dtype))

    return add


RULES.update({name: _elementwise(operator) for name, operator in _ELEMENTWISE.items()})


@rule("div")
def _div(graph: Graph, output: Any, x: Value, y: Value) -> Any:
    if isinstance(y, np.ndarray) and output.dtype == np.float32 and y.all():
        return RULES["mul"](graph, output, x, np.asarray(1 / y))  # rounded as by XLA
    return _elementwise("Div")(graph, output, x, y)


@rule("ne")
def _ne(graph: Graph, output: Any, x: Value, y: Value) -> Any:
    return RULES["not"](graph, output, RULES["eq"](graph, output, x, y))


@rule("rsqrt")
def _rsqrt(graph: Graph, output: Any, x: Value, **_: Any) -> Any:
    root = graph.add("Sqrt", x, shape=output.shape)
    return graph.add("Reciprocal", root, shape=output.shape)


@rule("square")
def _square(graph: Graph, output: Any, x: Value) -> Any:
    return RULES["mul"](graph, output, x, x)


@rule("integer_pow")
def _integer_pow(graph: Graph, output: Any, x: Value, *, y: int) -> Any:
    return RULES["pow"](graph, output, x, np.asarray(y, x.dtype))


@rule("erfc")
def _erfc(graph: Graph, output: Any, x: Value, **_: Any) -> Any:
    return RULES["sub"](graph, output, np.asarray(1, np.float32), RULES["erf"](graph, output, x))


@rule("rem")
def _rem(graph: Graph, output: Any, x: Value, y: Value) -> Any:
    return graph.add("Mod", x, y, shape=output.shape, dtype=stored_dtype(output.dtype), fmod=1)


@rule("round")
def _round(graph: Graph, output: Any, x: Value, *, rounding_method: RoundingMethod) -> Any:
    if rounding_method != RoundingMethod.TO_NEAREST_EVEN:
        return NotImplemented
    return graph.add("Round", x, shape=output.shape)


@rule("clamp")
def _clamp(graph: Graph, output: Any, low: Value, x: Value, high: Value) -> Any:
    return RULES["min"](graph, output, RULES["max"](graph, output, x, low), high)


@rule("select_n")
def _select(graph: Graph, output: Any, which: Value, *cases: Value) -> Any:
    if len(cases) != 2 or which.dtype != np.bool_:
        return NotImplemented
    return _elementwise("Where")(graph, output, which, *cases[::-1])


@rule("convert_element_type")
def _cast(graph: Graph, output: Any, x: Value, **_: Any) -> Any:
    dtype = stored_dtype(output.dtype)
    return x if x.dtype == dtype else _as(graph, x, dtype)


def _as(graph: Graph, x: Value, dtype: Any) -> Tensor:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return graph.add("Cast", x, shape=x.shape, dtype=dtype, to=kind)


@rule("reshape", "squeeze", "expand_dims")
def _reshape(graph: Graph, output: Any, x: Tensor, **params: Any) -> Any:
    if params.get("dimensions") and "new_sizes" in params:
        return NotImplemented
    return graph.reshaped(x, output.shape)


@rule("transpose")
def _transpose(graph: Graph, output: Any, x: Tensor, *, permutation: tuple[int, ...]) -> Any:
    return graph.transposed(x, permutation)


@rule("broadcast_in_dim")
def _broadcast(
    graph: Graph, output: Any, x: Value, *, broadcast_dimensions: tuple[int, ...], **_: Any
) -> Any:
    shape: list[Any] = [1] * len(output.shape)
    for axis, size in zip(broadcast_dimensions, x.shape, strict=True):
        shape[axis] = size
    x = graph.reshaped(x, tuple(shape))
    return x if x.shape == output.shape else graph.expanded(x, output.shape)


@rule("concatenate")
def _concatenate(graph: Graph, output: Any, *parts: Value, dimension: int) -> Any:
    parts = tuple(part for part in parts if part.shape[dimension] != 0)
    return graph.add(
        "Concat", *parts, shape=output.shape, dtype=stored_dtype(output.dtype), axis=dimension
    )


@rule("stack")
def _stack(graph: Graph, output: Any, *parts: Value, axis: int) -> Any:
    shape = list(output.shape)
    shape[axis] = 1
    parts = tuple(graph.reshaped(x, tuple(shape)) for x in parts)
    return _concatenate(graph, output, *parts, dimension=axis)


@rule("unstack")
def _unstack(graph: Graph, output: Any, x: Tensor, *, axis: int) -> Any:
    return [
        graph.add("Gather", x, np.array(place), shape=output.shape, dtype=x.dtype, axis=axis)
        for place in range(x.shape[axis])
    ]


@rule("slice")
def _slice(
    graph: Graph,
    output: Any,
    x: Tensor,
    *,
    start_indices: tuple[int, ...],
    limit_indices: tuple[int, ...],
    strides: tuple[int, ...] | None,
) -> Any:
    axes = [axis for axis, size in enumerate(x.shape) if output.shape[axis] != size]
    if not axes:
        return x
    steps = strides or (1,) * len(x.shape)
    ends = [
        [_from_end(of[axis], x.shape[axis]) for axis in axes]
        for of in (start_indices, limit_indices)
    ]
    start, limit, step = map(np.array, (*ends, [steps[axis] for axis in axes]))
    return graph.add(
        "Slice", x, start, limit, np.array(axes), step, shape=output.shape, dtype=x.dtype
    )


def _from_end(place: Any, size: Any) -> int:
    """Returns a place along an axis; ONNX counts negative ones from the end."""
    if isinstance(place, int):
        return place
    return place - size if place != size else _FAR


@rule("split")
def _split(graph: Graph, output: Any, x: Tensor, *, sizes: tuple[int, ...], axis: int) -> Any:
    shapes = ((*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in sizes)
    ends = np.cumsum([0, *sizes])
    return [
        graph.add(
            "Slice", x, *(np.array([at]) for at in (start, end, axis)), shape=shape, dtype=x.dtype
        )
        for start, end, shape in zip(ends, ends[1:], shapes, strict=False)
    ]


@rule("rev")
def _rev(graph: Graph, output: Any, x: Tensor, *, dimensions: tuple[int, ...]) -> Any:
    count = len(dimensions)
    ends = np.full(count, -1), np.full(count, -_FAR), np.array(dimensions), np.full(count, -1)
    return graph.add("Slice", x, *ends, shape=output.shape, dtype=x.dtype)


@rule("pad")
def _pad(graph: Graph, output: Any, x: Tensor, fill: Value, *, padding_config: Any) -> Any:
    if any(inside for _, _, inside in padding_config) or isinstance(fill, Tensor):
        return NotImplemented
    low, high = ([int(pads[side]) for pads in padding_config] for side in (0, 1))
    if min(low + high) < 0:
        return NotImplemented
    if not any(low + high):
        return x
    return graph.add("Pad", x, np.array(low + high), fill, shape=output.shape, dtype=x.dtype)


def _reduction(operator: str) -> Rule:
    def add(graph: Graph, output: Any, x: Tensor, *, axes: tuple[int, ...], **_: Any) -> Any:
        numbers = np.array(list(map(int, axes)))
        return graph.add(
            operator,
            *(x, numbers),
            shape=output.shape,
            dtype=stored_dtype(output.dtype),
            keepdims=0,
        )

    return add


RULES |= {
    name: _reduction(operator)
    for name, operator in {
        "reduce_sum": "ReduceSum",
        "reduce_max": "ReduceMax",
        "reduce_min": "ReduceMin",
    }.items()
}


@rule("argmax")
def _argmax(graph: Graph, output: Any, x: Tensor, *, axes: tuple[int, ...], **_: Any) -> Any:
    return graph.add("ArgMax", x, shape=output.shape, dtype=np.int64, axis=axes[0], keepdims=0)


@rule("sort")
def _sort(graph: Graph, output: Any, *operands: Tensor, dimension: int, **_: Any) -> Any:
    if len(operands) > 1:
        return NotImplemented
    (x,) = operands
    return graph.add(
        "TopK",
        *(x, np.array([x.shape[dimension]])),
        shape=output.shape,
        dtype=x.dtype,
        unused=("indices",),
        axis=dimension,
        largest=0,
    )


@rule("dot_general")
def _dot(graph: Graph, output: Any, x: Value, y: Value, *, dimension_numbers: Any, **_: Any) -> Any:
    (summed_x, summed_y), (batch_x, batch_y) = dimension_numbers
    ranks = len(x.shape), len(y.shape)
    if isinstance(y, np.ndarray) and y.shape in _FEW and tuple(summed_x) == (ranks[0] - 1,):
        return _weighted_sum(graph, output.shape, x, y)
    if (tuple(summed_x), tuple(summed_y), batch_x) == ((ranks[0] - 1,), (0,), ()) and ranks[1] == 2:
        return graph.add("MatMul", x, y, shape=output.shape)
    letters = iter(string.ascii_lowercase)
    names_x = [next(letters) for _ in range(ranks[0])]
    names_y = [next(letters) for _ in range(ranks[1])]
    for one, other in zip((*batch_x, *summed_x), (*batch_y, *summed_y), strict=True):
        names_y[other] = names_x[one]
    free = [
        name
        for names, used in ((names_x, (*batch_x, *summed_x)), (names_y, (*batch_y, *summed_y)))
        for axis, name in enumerate(names)
        if axis not in used
    ]
    result = "".join([names_x[axis] for axis in batch_x] + free)
    equation = f"{''.join(names_x)},{''.join(names_y)}->{result}"
    return graph.add("Einsum", x, y, shape=output.shape, equation=equation)


_FEW = {(1,), (2,), (3,), (4,)}


def _weighted_sum(graph: Graph, shape: Shape, x: Value, weights: Value) -> Value:
    """Adds up a few channels with the roundings of XLA on a CPU, one for each channel.

    The preprocessing `equalise` ranks pixels by such sums, and some are equal up to rounding.
    """
    products = graph.add(
        "Mul",
        *(_as(graph, value, np.float64) for value in (x, weights)),
        shape=x.shape,
        dtype=np.float64,
    )
    total: Value = np.zeros((), np.float32)
    for place in range(x.shape[-1]):
        channel = graph.add(
            "Gather", products, np.array(place), shape=shape, dtype=np.float64, axis=-1
        )
        longer = graph.add(
            "Add", channel, _as(graph, total, np.float64), shape=shape, dtype=np.float64
        )
        total = _as(graph, longer, np.float32)
    return total
