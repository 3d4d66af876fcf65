"""What stands in ONNX for convolutions, pooling, reading at places, and sampling.

ONNX has the channels of images before their rows; JAX has them last.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.lax import GatherDimensionNumbers, GatherScatterMode

from stn_jax.onnx.graph import Graph, Shape, Tensor, Value, stored_dtype
from stn_jax.onnx.operations import RULES, rule
from stn_jax.sampling.coordinates import PADDINGS


@rule("convolution")
def _convolution(
    graph: Graph,
    output: Any,
    x: Value,
    kernel: Value,
    *,
    top: int,
    bottom: int,
    left: int,
    right: int,
    **_: Any,
) -> Value:
    return _conv(graph, output.shape, x, kernel, pads=[top, left, bottom, right])


@rule("conv_general_dilated")
def _conv_general_dilated(
    graph: Graph,
    output: Any,
    x: Value,
    kernel: Value,
    *,
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
    dimension_numbers: Any,
    feature_group_count: int,
    batch_group_count: int,
    **_: Any,
) -> Any:
    last = (0, len(x.shape) - 1)
    is_last = tuple(dimension_numbers.lhs_spec[:2]) == tuple(dimension_numbers.out_spec[:2]) == last
    spatial = tuple(range(len(window_strides)))
    is_last &= tuple(dimension_numbers.rhs_spec) == (len(spatial) + 1, len(spatial), *spatial)
    if not is_last or set(lhs_dilation) != {1} or batch_group_count != 1 or np.min(padding) < 0:
        return NotImplemented
    return _conv(
        *(graph, output.shape, x, kernel),
        pads=[pair[side] for side in (0, 1) for pair in padding],
        strides=list(window_strides),
        dilations=list(rhs_dilation),
        group=feature_group_count,
    )


def _conv(graph: Graph, shape: Shape, x: Value, kernel: Value, **attributes: Any) -> Value:
    spatial = range(len(shape) - 2)
    kernel = graph.transposed(kernel, (len(shape) - 1, len(shape) - 2, *spatial))
    return _channels_first(graph, "Conv", shape, x, kernel, **attributes)


def _channels_first(
    graph: Graph, operator: str, shape: Shape, x: Value, *others: Value, **attributes: Any
) -> Value:
    """Adds an operator for images whose channels come first, to images [B, ..., C]."""
    rank = len(shape)
    x = graph.transposed(x, (0, rank - 1, *range(1, rank - 1)))
    y = graph.add(operator, x, *others, shape=(shape[0], shape[-1], *shape[1:-1]), **attributes)
    return graph.transposed(y, (0, *range(2, rank), 1))


@rule("max")
def _max(graph: Graph, output: Any, x: Value, y: Value) -> Value:
    if isinstance(y, np.ndarray) and output.dtype == np.float32 and not y.any():
        return graph.add("Relu", x, shape=output.shape)
    axis = _axis_of_pairs(graph, x, y)
    if axis is None or not 0 < axis < len(output.shape) - 1 < 5:
        return graph.add("Max", x, y, shape=output.shape, dtype=stored_dtype(output.dtype))
    # One axis after the other is pooled: what a first pooling has read, one operator can pool.
    _, (images, *_) = graph.made_by(x)
    assert isinstance(images, Tensor)
    images, size = graph.pooled.get(images.name, (images, (1,) * (len(output.shape) - 2)))
    size = tuple(n * (1 + (spatial == axis)) for spatial, n in enumerate(size, start=1))
    pooled = _channels_first(
        graph, "MaxPool", output.shape, images, kernel_shape=size, strides=size
    )
    assert isinstance(pooled, Tensor)
    graph.pooled[pooled.name] = images, size
    return pooled


def _axis_of_pairs(graph: Graph, x: Value, y: Value) -> int | None:
    """Returns the axis of which `x` has the even places of an array and `y` the odd ones."""
    (one, evens), (other, odds) = graph.made_by(x), graph.made_by(y)
    if not (one == other == "Slice" and len(evens) == len(odds) == 5 and evens[0] is odds[0]):
        return None
    # The inputs of a slice are the array, where it starts, where it ends, the axes and the steps.
    inputs: Any = [*zip(evens, odds, strict=True)]
    starts, axes, steps = (np.concatenate(inputs[k]).tolist() for k in (1, 3, 4))
    is_pair = starts == [0, 1] and axes[0] == axes[1] and steps == [2, 2] and x.shape == y.shape
    return axes[0] if is_pair else None


def _pooling(operator: str, **options: Any) -> Any:
    def add(
        graph: Graph,
        output: Any,
        x: Value,
        *,
        window_dimensions: Sequence[int],
        window_strides: Sequence[int],
        padding: Sequence[tuple[int, int]],
        base_dilation: Sequence[int],
        window_dilation: Sequence[int],
    ) -> Any:
        each = (window_dimensions, window_strides, base_dilation, window_dilation)
        is_spatial = all(values[0] == values[-1] == 1 for values in each)
        if not is_spatial or set(base_dilation) != {1} or padding[0] != (0, 0) != padding[-1]:
            return NotImplemented
        pooled = _channels_first(
            *(graph, operator, output.shape, x),
            kernel_shape=list(window_dimensions[1:-1]),
            strides=list(window_strides[1:-1]),
            pads=[int(pair[side]) for side in (0, 1) for pair in padding[1:-1]],
            dilations=list(window_dilation[1:-1]),
            **options,
        )
        if operator == "MaxPool":
            return pooled
        count = np.float32(np.prod(window_dimensions))
        return RULES["mul"](graph, output, pooled, np.asarray(count))

    return add


RULES["reduce_window_max"] = _pooling("MaxPool")
RULES["reduce_window_sum"] = _pooling("AveragePool", count_include_pad=1)


@rule("gather")
def _gather(
    graph: Graph,
    output: Any,
    x: Value,
    index: Value,
    *,
    dimension_numbers: GatherDimensionNumbers,
    slice_sizes: Sequence[Any],
    mode: GatherScatterMode,
    **_: Any,
) -> Any:
    numbers, batch = dimension_numbers, tuple(map(int, dimension_numbers.operand_batching_dims))
    if isinstance(index, np.ndarray) and not batch:
        return _at_known_places(graph, output, x, index, numbers, slice_sizes)
    if len(numbers.start_index_map) != 1 or mode == GatherScatterMode.FILL_OR_DROP:
        return NotImplemented
    (axis,) = map(int, numbers.start_index_map)
    shape = tuple(index.shape[:-1])
    whole = tuple(x.shape[axis + 1 :])
    if (
        batch != tuple(range(axis))
        or tuple(map(int, numbers.start_indices_batching_dims)) != batch
        or tuple(slice_sizes[axis:]) != (1, *whole)
        or tuple(map(int, numbers.offset_dims)) != tuple(range(len(shape), len(output.shape)))
    ):
        return NotImplemented
    if mode == GatherScatterMode.CLIP:
        limits = np.array(0), np.array(x.shape[axis] - 1)
        index = graph.add("Clip", index, *limits, shape=index.shape, dtype=index.dtype)
    read = graph.add(
        "GatherND", x, index, shape=(*shape, *whole), dtype=x.dtype, batch_dims=len(batch)
    )
    return graph.reshaped(read, output.shape)


def _at_known_places(
    graph: Graph,
    output: Any,
    x: Value,
    index: np.ndarray,
    numbers: GatherDimensionNumbers,
    slice_sizes: Sequence[Any],
) -> Any:
    """Reads places that can be read along one axis after the other, as `x[:, 1:, ::2, 0]` does."""
    places = [place for place in range(len(output.shape)) if place not in numbers.offset_dims]
    kept = [axis for axis in range(len(x.shape)) if axis not in numbers.collapsed_slice_dims]
    axis_at = dict(zip(map(int, numbers.offset_dims), kept, strict=True))
    for start, axis in zip(np.moveaxis(index, -1, 0), numbers.start_index_map, strict=True):
        varying = [d for d in range(start.ndim) if (start != start.take([0], d)).any()]
        line = start.ravel()[:1] + np.arange(slice_sizes[axis])
        if varying:
            if len(varying) > 1 or axis in kept or places[varying[0]] in axis_at:
                return NotImplemented
            axis_at[places[varying[0]]] = int(axis)
            line = np.moveaxis(start, varying[0], 0).reshape(start.shape[varying[0]], -1)[:, 0]
        if line.min() < 0 or line.max() >= x.shape[axis]:
            return NotImplemented
        x = _along(graph, x, line, int(axis))
    order = [axis_at[place] for place in sorted(axis_at)]
    single = [axis for axis in range(len(x.shape)) if axis not in order]
    return graph.reshaped(graph.transposed(x, order + single), output.shape)


def _along(graph: Graph, x: Value, line: np.ndarray, axis: int) -> Value:
    """Reads places along one axis; evenly spaced ones, as for pooling, are a slice."""
    shape = (*x.shape[:axis], len(line), *x.shape[axis + 1 :])
    step = line[1] - line[0] if len(line) > 1 else 1
    if step > 0 and np.array_equal(line, line[0] + step * np.arange(len(line))):
        ends = (np.array([end]) for end in (line[0], line[-1] + 1, axis, step))
        return graph.add("Slice", x, *ends, shape=shape, dtype=x.dtype)
    return graph.add("Gather", x, line, shape=shape, dtype=x.dtype, axis=axis)


_MODES = {"linear_2d_read": "linear", "nearest_2d_read": "nearest"}


def _sampling(mode: str) -> Any:
    def add(
        graph: Graph,
        output: Any,
        images: Value,
        points: Value,
        *,
        padding: int,
        align_corners: int,
        in_pixels: int,
        **_: Any,
    ) -> Any:
        if len(images.shape) != 4 or in_pixels or PADDINGS[padding] == "wrap":
            return NotImplemented
        batch, *places, channels = output.shape
        rows, columns = places if len(places) == 2 else (*places, 1)
        grid = graph.reshaped(points, (batch, rows, columns, 2))
        values = _channels_first(
            *(graph, "GridSample", (batch, rows, columns, channels), images, grid),
            mode=mode,
            padding_mode=PADDINGS[padding],
            align_corners=align_corners,
        )
        return graph.reshaped(values, output.shape)

    return add


RULES.update({name: _sampling(mode) for name, mode in _MODES.items()})
