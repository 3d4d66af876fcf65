"""Trained networks that come with the package.

Each has a folder here, made by `python -m stn_jax.experiments.pretrained`. It contains
`weights.npz`, the run's `config.json` and `README.md`, a model card with the data, the recipe, the
measured error and the limits.
"""

import re
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from flax.traverse_util import unflatten_dict

from stn_jax.errors import check_choice
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.trained_networks import Network
from stn_jax.experiments.workdir.run_config import read_config

FOLDER = Path(__file__).parent


class Card(NamedTuple):
    """The main facts about a network that comes with the package, from its model card."""

    name: str
    network: str  # as in results, such as "st_cnn_affine"
    num_params: int
    input: str  # shape, dtype and range of its images
    data: str  # what it was trained and tested on
    error_percent: float  # on the test set
    megabytes: float  # of the file of weights
    licence: str
    command: str  # that trained it

    def __str__(self) -> str:
        """Returns the facts in one line."""
        return (
            f"{self.name}: {self.error_percent:.2f}% errors on {self.data}; "
            f"{self.num_params:,} parameters, {self.megabytes:.1f} MB, {self.licence}; "
            f"input {self.input}"
        )


def list_pretrained() -> list[Card]:
    """Returns the cards of the trained networks that come with the package.

    >>> cards = stn_jax.list_pretrained()
    >>> print(cards[0])
    cnn: 2.56% errors on mnist rts (tfds: 60000 train, 10000 test); 126,282 parameters, 0.2 MB, \
Apache-2.0; input [B, 42, 42, 1] float32, 0..1, bright on black
    """
    return [_read_card(name) for name in pretrained_names()]


def load_pretrained(name: str) -> Network:
    """Loads a trained network that comes with the package.

    "cnn", "st_cnn_affine" and "st_cnn_tps" read a digit: they map images [B, 42, 42, 1] in 0..1,
    bright on black, to logits [B, 10]. "street_numbers_single" reads a number in a picture: it maps
    images [B, 112, 112, 3] with mean 0 to logits [B, 5, 11]. "traffic_signs_single" recognises a
    traffic sign: it maps images [B, 32, 32, 3] with mean 0 and standard deviation 1 to logits
    [B, 43], in the order of `stn_jax.experiments.traffic_signs.classes.CLASS_NAMES`.

    `preprocess` turns any picture into such an image, and `predict` gives the answers to a batch.
    Logits [b, i] of a number are for the i-th digit; class 10 stands for "no digit here". The
    `README.md` in the network's folder, next to this file, says what it was trained on, how
    accurate it is, and where it fails; `list_pretrained` gives the main facts.

    Raises:
        ValueError: no network has that name; the message lists the names.

    >>> network = stn_jax.load_pretrained("cnn")
    >>> drawing = np.zeros((100, 100), np.uint8)
    >>> drawing[20:80, 48:54] = 255  # or the path of a picture
    >>> images = np.stack([network.preprocess(drawing)])
    >>> network.predict(images)[0].answers[0].text
    '1'
    >>> network.model.apply(network.variables, images).shape
    (1, 10)
    """
    check_choice(name, pretrained_names(), "pretrained network")
    config = read_config(FOLDER / name)
    with (FOLDER / name / "weights.npz").open("rb") as file:
        variables = read_weights(file)
    return Network(find_task(config).make_network(config), variables, config)


def pretrained_names() -> list[str]:
    """Returns the names that `load_pretrained` accepts."""
    return sorted(path.parent.name for path in FOLDER.glob("*/weights.npz"))


def _read_card(name: str) -> Card:
    text = (FOLDER / name / "README.md").read_text(encoding="utf-8")
    facts = dict(re.findall(r"^\| (\w[^|]*) \| (.*) \|$", text, flags=re.MULTILINE))
    network, num_params = facts["network"].removesuffix(" parameters").split(", ", 1)
    (error,) = re.findall(r"\*\*([\d.]+)%\*\*", facts["test error"])
    (licence,) = re.findall(r"Weights and card: ([\w.-]+\w)", text)
    return Card(
        name=name,
        network=network,
        num_params=int(num_params.replace(",", "")),
        input=facts["images"],
        data=facts["data"],
        error_percent=float(error),
        megabytes=(FOLDER / name / "weights.npz").stat().st_size / 1e6,
        licence=licence,
        command=facts["command"].strip("`"),
    )


def read_weights(file: IO[bytes]) -> dict[str, Any]:
    """Reads a network's variables, as float32, from an .npz of arrays named by their paths."""
    with np.load(file, allow_pickle=False) as arrays:
        return unflatten_dict({path: arrays[path].astype(np.float32) for path in arrays}, sep="/")
