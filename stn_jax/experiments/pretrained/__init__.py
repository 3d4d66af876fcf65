"""Trained networks that come with the package.

Each has a folder here, made by `python -m stn_jax.experiments.pretrained`. It contains
`weights.npz`, the run's `config.json` and `README.md`, a model card with the data, the recipe, the
measured error and the limits.
"""

from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from flax import linen as nn
from flax.traverse_util import unflatten_dict
from ml_collections import ConfigDict

from stn_jax.errors import check_choice
from stn_jax.experiments.workdir.run_config import read_config

FOLDER = Path(__file__).parent


class Pretrained(NamedTuple):
    """A trained network: `model.apply(variables, images)` returns logits."""

    model: nn.Module
    variables: dict[str, Any]  # "params" and, with batch normalisation, "batch_stats"; float32
    config: ConfigDict  # of the run that trained it


def load_pretrained(name: str) -> Pretrained:
    """Loads a trained network that comes with the package.

    "cnn", "st_cnn_affine" and "st_cnn_tps" read a digit: they map images [B, 42, 42, 1] in 0..1,
    bright on black, to logits [B, 10]. "street_numbers_single" reads a number in a picture: it maps
    images [B, 112, 112, 3] with mean 0 to logits [B, 5, 11]. "traffic_signs_single" recognises a
    traffic sign: it maps images [B, 32, 32, 3] with mean 0 and standard deviation 1 to logits
    [B, 43], in the order of `stn_jax.experiments.traffic_signs.classes.CLASS_NAMES`.

    Images are float32. A picture of a number must be scaled to 0..1 first, and then its mean over
    all pixels and colours subtracted. Its logits [b, i] are for the i-th digit; class 10 stands for
    "no digit here". `stn_jax.experiments.tasks.find_task(config).read_image(path, config)` reads an
    image file in this form. The `README.md` in the network's folder, next to this file, says what
    it was trained on, how accurate it is, and where it fails.

    Raises:
        ValueError: no network has that name; the message lists the names.

    >>> network = stn_jax.load_pretrained("cnn")
    >>> network.model.apply(network.variables, jnp.zeros((8, 42, 42, 1))).shape
    (8, 10)
    """
    from stn_jax.experiments.tasks import find_task  # slow: imports the code of all data sets

    check_choice(name, pretrained_names(), "pretrained network")
    config = read_config(FOLDER / name)
    with (FOLDER / name / "weights.npz").open("rb") as file:
        variables = read_weights(file)
    return Pretrained(find_task(config).make_network(config), variables, config)


def pretrained_names() -> list[str]:
    """Returns the names that `load_pretrained` accepts."""
    return sorted(path.parent.name for path in FOLDER.glob("*/weights.npz"))


def read_weights(file: IO[bytes]) -> dict[str, Any]:
    """Reads a network's variables, as float32, from an .npz of arrays named by their paths."""
    with np.load(file, allow_pickle=False) as arrays:
        return unflatten_dict({path: arrays[path].astype(np.float32) for path in arrays}, sep="/")
