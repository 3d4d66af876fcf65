"""Converts a function of one array to an ONNX model."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core
from jax.typing import DTypeLike

from stn_jax.errors import UserError
from stn_jax.native.primitive import NativePrimitive
from stn_jax.onnx import images  # noqa: F401 (adds its rules)
from stn_jax.onnx.graph import EMPTY, Graph, Tensor, Value
from stn_jax.onnx.operations import RULES

_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")


def to_onnx(
    function: Callable[[jax.Array], jax.Array],
    shape: Sequence[int | str],
    dtype: DTypeLike = np.float32,
    *,
    input_name: str = "input",
    output_name: str = "output",
) -> bytes:
    """Returns a function of one array as an ONNX model of opset 20.

    The model computes in float32. Sampling with "linear" or "nearest" becomes the operator
    `GridSample`. What does not depend on the input is computed now and stored.

    Args:
        function: made of the operations that usual classifiers need: layers of Flax, pooling, a
            softmax, and the functions of this library.
        shape: the shape of its argument. A text such as "b" stands for any size.
        dtype: the dtype of its argument.
        input_name: the name of the model's input.
        output_name: the name of the model's output.

    Raises:
        ValueError: the function has an operation that this does not know; the message names it.

    >>> model = to_onnx(lambda images: images.mean(axis=(1, 2)), ("b", 28, 28, 3))
    """
    graph = Graph(input_name, shape, np.dtype(dtype))
    traced = jax.make_jaxpr(function)(jax.ShapeDtypeStruct(graph.input.shape, dtype))
    outputs = _converted(graph, traced, graph.input)
    if len(outputs) != 1:
        raise UserError(f"ONNX: the function must return one array, not {len(outputs)}")
    return graph.model(outputs[0], output_name).SerializeToString()


def _converted(graph: Graph, closed: core.ClosedJaxpr, *values: Value) -> list[Value]:
    """Adds the operations of a traced function; returns its results for these values."""
    known: dict[Any, Value] = {}
    constants = (np.asarray(constant) for constant in closed.consts)
    known.update(zip(closed.jaxpr.constvars, constants, strict=True))
    known.update(zip(closed.jaxpr.invars, values, strict=True))

    def read(variable: Any) -> Value:
        if isinstance(variable, core.Literal):
            aval: Any = variable.aval
            return np.asarray(variable.val, aval.dtype)
        return known[variable]

    for equation in closed.jaxpr.eqns:
        operands = [read(variable) for variable in equation.invars]
        outputs: list[Any] = [variable.aval for variable in equation.outvars]
        if all(0 in aval.shape for aval in outputs):
            results: list[Value] = [Tensor(EMPTY, aval.shape, aval.dtype) for aval in outputs]
        elif _is_known(outputs, operands):
            results = _computed(closed.jaxpr, equation, operands)
        else:
            results = _applied(graph, equation, operands)
        known.update(zip(equation.outvars, results, strict=True))
    return [read(variable) for variable in closed.jaxpr.outvars]


def _is_known(outputs: list[Any], values: list[Value]) -> bool:
    is_sized = all(isinstance(size, int) for aval in outputs for size in aval.shape)
    return is_sized and all(isinstance(value, np.ndarray) for value in values)


def _computed(jaxpr: core.Jaxpr, equation: Any, values: list[Value]) -> list[Value]:
    """Returns the results of an operation whose operands are known."""
    pairs = zip(equation.invars, values, strict=True)
    given = {variable: x for variable, x in pairs if not isinstance(variable, core.Literal)}
    alone = jaxpr.replace(constvars=[], invars=[*given], outvars=equation.outvars, eqns=[equation])
    with jax.enable_x64(True):  # some of this library's constants are computed in float64
        results = core.jaxpr_as_fun(core.ClosedJaxpr(alone, ()))(*given.values())
    return [np.asarray(x) for x in results]


def _applied(graph: Graph, equation: Any, values: list[Value]) -> list[Value]:
    name, params = equation.primitive.name, equation.params
    convert = functools.partial(_converted, graph)
    if name in RULES:
        result = RULES[name](graph, equation.outvars[0].aval, *values, **params)
        if result is not NotImplemented:
            return result if isinstance(result, list) else [result]
    if name == "scan":
        return _unrolled(convert, equation, values)
    if name == "cond" and isinstance(values[0], np.ndarray):  # as for a choice by platform
        return convert(params["branches"][int(values[0])], *values[1:])
    inner = next((params[key] for key in _INNER if key in params), None)
    if inner is not None:
        return convert(
            inner if isinstance(inner, core.ClosedJaxpr) else core.ClosedJaxpr(inner, ()), *values
        )
    function = None
    if isinstance(equation.primitive, NativePrimitive):
        function = functools.partial(equation.primitive.fun, **params)
    elif name == "call_hi_primitive":  # since JAX 0.12, such as a search in a sorted array
        function = params["_prim"].expand
    if function is not None:
        avals = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in equation.invars]
        return convert(jax.make_jaxpr(function)(*avals), *values)
    raise UserError(f"ONNX: the operation {name} of JAX is not supported here")


def _unrolled(
    convert: Callable[..., list[Value]], equation: Any, values: list[Value]
) -> list[Value]:
    """Repeats the body of a loop, whose number of rounds is known."""
    body = equation.params["jaxpr"]
    outside = (*equation.invars, *equation.outvars)
    inside = (*body.jaxpr.invars, *body.jaxpr.outvars)
    if any(len(x.aval.shape) != len(y.aval.shape) for x, y in zip(outside, inside, strict=True)):
        raise UserError("ONNX: a loop over the rows of an array is not supported here")
    num_constants = len(values) - len(equation.outvars)
    constants, carry = values[:num_constants], values[num_constants:]
    for _round in range(equation.params["length"]):
        carry = convert(body, *constants, *carry)
    return carry
