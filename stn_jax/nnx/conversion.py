"""Copies weights from the Linen modules to the NNX modules."""

import re
from collections.abc import Mapping
from typing import Any

from flax import nnx
from flax.traverse_util import flatten_dict

_LISTS = {"Conv": "convolutions", "Dense": "dense", "BatchNorm": "norms"}


def load_linen_variables(module: nnx.Module, variables: Mapping[str, Any]) -> None:
    """Copies the weights of a Linen module to the corresponding NNX module, in place.

    Args:
        module: a `SpatialTransformer` or a localisation network of `stn_jax.nnx`.
        variables: the variables of the Linen module with the same settings: "params" and, with
            batch normalisation, "batch_stats".

    Raises:
        ValueError: the names or shapes of the variables do not fit the module.

    >>> images, linen_network = jnp.ones((1, 28, 28, 1)), stn_jax.linen.ConvLocalisation("affine")
    >>> network = stn_jax.nnx.ConvLocalisation((28, 28, 1), "affine", rngs=nnx.Rngs(1))
    >>> load_linen_variables(network, linen_network.init(jax.random.key(0), images))
    """
    given: dict[tuple[Any, ...], Any] = {
        _nnx_path(path): value
        for collection in ("params", "batch_stats")
        for path, value in flatten_dict(variables.get(collection, {})).items()
    }
    state = nnx.to_flat_state(nnx.state(module, (nnx.Param, nnx.BatchStat)))
    shapes = {path: variable.shape for path, variable in state}
    if {path: value.shape for path, value in given.items()} != shapes:
        differing = sorted(
            "/".join(map(str, path))
            for path in shapes.keys() | given.keys()
            if path not in given or path not in shapes or given[path].shape != shapes[path]
        )
        raise ValueError(f"the variables do not fit the module at {', '.join(differing)}")
    replaced = [(path, variable.replace(given[path])) for path, variable in state]
    nnx.update(module, nnx.from_flat_state(replaced))


def _nnx_path(path: tuple[str, ...]) -> tuple[str | int, ...]:
    """Returns the NNX path of the variable at a Linen `path`."""
    named: list[str | int] = []
    for name in path:
        match = re.fullmatch(r"(Conv|Dense|BatchNorm)_(\d+)", name)
        if match and named[-1:] == ["theta"]:
            named.append("linear")
        elif match:
            named += [_LISTS[match[1]], int(match[2])]
        elif name != "norm":  # this level exists only in Linen
            named.append(name)
    return tuple(named)
