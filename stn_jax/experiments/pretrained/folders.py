"""Folders that hold a trained network: weights, config and model card, as on model hubs."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict

from stn_jax.errors import UserError
from stn_jax.experiments.pretrained.safetensors import read_safetensors, write_safetensors
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.trained_networks import Network
from stn_jax.experiments.workdir.run_config import config_of_file
from stn_jax.files import write_atomically

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> list[Path]:
    """Writes files to a folder, which is made if necessary; returns their paths.

    The last file appears last, and is removed first if it is there already: where it is, all are.

    Raises:
        UserError: a file cannot be written.
    """
    paths = [folder / name for name in files]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths[-1].unlink(missing_ok=True)
        for path, content in zip(paths, files.values(), strict=True):
            write_atomically(path, content)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from error
    return paths


def network_files(
    config: ConfigDict, variables: dict[str, Any], card: str
) -> dict[str, str | bytes]:
    """Returns the files of a network's folder, for `write_files`, without paths of this machine.

    Arrays that float16 represents exactly are stored in it.
    """
    config = ConfigDict(config.to_dict())
    for name in ("data_dir", "manual_dir", "dir", "list"):
        if name in config.data:
            config.data[name] = ""
    arrays = {name: _stored(np.asarray(x)) for name, x in flatten_dict(variables, sep=".").items()}
    return {
        WEIGHTS: write_safetensors(arrays),
        CARD: card,
        CONFIG: config.to_json(indent=2, sort_keys=True) + "\n",
    }


def _stored(array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if np.array_equal(half.astype(array.dtype), array) else array.astype(np.float32)


def read_network(folder: Path) -> Network:
    """Reads a network from the folder that `write_files` wrote.

    Raises:
        UserError: the folder holds no network, or the files are damaged or do not fit each other.
    """
    try:
        config = config_of_file(folder / CONFIG)
        content = (folder / WEIGHTS).read_bytes()
    except FileNotFoundError as error:
        raise UserError(
            f"no network in {folder} (no {Path(error.filename).name}): name a folder that "
            "--mode=export --format=folder wrote"
        ) from error
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error
    try:
        arrays = read_safetensors(content)
    except ValueError as error:
        raise UserError(f"{folder / WEIGHTS} cannot be read: {error}") from error
    flat = {name: array.astype(np.float32) for name, array in arrays.items()}
    task = find_task(config)
    model = task.make_network(config)
    _check_shapes(folder, model, task.input_shape(config), flat)
    return Network(model, unflatten_dict(flat, sep="."), config)


def _check_shapes(
    folder: Path, model: nn.Module, input_shape: tuple[int, ...], flat: Mapping[str, np.ndarray]
) -> None:
    expected, found = _shapes(model, input_shape), {name: x.shape for name, x in flat.items()}
    if expected != found:
        name = next(n for n in {**expected, **found} if expected.get(n) != found.get(n))
        raise UserError(
            f"{folder / WEIGHTS} does not fit {CONFIG}: {name} is {found.get(name, 'missing')}, "
            f"expected {expected.get(name, 'none')}"
        )


@functools.lru_cache(maxsize=16)
def _shapes(model: nn.Module, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of a network's variables."""
    image = jnp.zeros((1, *input_shape))
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    return {name: x.shape for name, x in flatten_dict(variables, sep=".").items()}
