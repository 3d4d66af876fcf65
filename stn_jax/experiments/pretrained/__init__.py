"""Trained networks that come with the package, and folders of networks that were exported.

Each network of the package has a folder here, made by `python -m stn_jax.experiments.pretrained`.
It contains `model.safetensors`, the weights; the run's `config.json`; and `README.md`, a model card
with the data, the recipe, the measured error and the limits.
"""

import re
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from stn_jax.errors import check_choice
from stn_jax.experiments.pretrained.folders import CARD, WEIGHTS, read_network
from stn_jax.experiments.trained_networks import Network

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
    cnn: 2.56% errors on mnist rts (tfds: 60000 train, 10000 test); 126,282 parameters, 0.3 MB, \
Apache-2.0; input [B, 42, 42, 1] float32, 0..1, bright on black
    """
    return [_read_card(name) for name in pretrained_names()]


def load_pretrained(name: str | PathLike) -> Network:
    """Loads a trained network that comes with the package, or that was exported to a folder.

    "cnn", "st_cnn_affine" and "st_cnn_tps" read a digit: they map images [B, 42, 42, 1] in 0..1,
    bright on black, to logits [B, 10]. "street_numbers_single" reads a number in a picture: it maps
    images [B, 112, 112, 3] with mean 0 to logits [B, 5, 11]. "traffic_signs_single" recognises a
    traffic sign: it maps images [B, 32, 32, 3] with mean 0 and standard deviation 1 to logits
    [B, 43], in the order of `stn_jax.experiments.traffic_signs.classes.CLASS_NAMES`.

    `preprocess` turns any picture into such an image, and `predict` gives the answers to a batch.
    Logits [b, i] of a number are for the i-th digit; class 10 stands for "no digit here". The
    `README.md` in the network's folder, next to this file, says what it was trained on, how
    accurate it is, and where it fails; `list_pretrained` gives the main facts.

    Args:
        name: one of these names, or the path of a folder that `stn-jax export --format=folder`
            wrote. A name alone is that of the package; write "./cnn" for a folder with this name.

    Raises:
        ValueError: no network has that name, or the folder has none that can be read.

    >>> network = stn_jax.load_pretrained("cnn")
    >>> drawing = np.zeros((100, 100), np.uint8)
    >>> drawing[20:80, 48:54] = 255  # or the path of a picture
    >>> images = np.stack([network.preprocess(drawing)])
    >>> network.predict(images)[0].answers[0].text
    '1'
    >>> network.model.apply(network.variables, images).shape
    (1, 10)
    """
    return read_network(pretrained_folder(name))


def pretrained_folder(name: str | PathLike) -> Path:
    """Returns the folder of what `load_pretrained` takes; raises UserError if there is none."""
    if name not in pretrained_names():
        if isinstance(name, PathLike) or Path(name).is_dir():
            return Path(name)
        check_choice(name, pretrained_names(), "pretrained network or folder")
    return FOLDER / name


def pretrained_card(name: str | PathLike) -> str:
    """Returns the model card of what `load_pretrained` takes; "" if it has none."""
    path = pretrained_folder(name) / CARD
    return path.read_text(encoding="utf-8") if path.exists() else ""


def pretrained_names() -> list[str]:
    """Returns the names that `load_pretrained` accepts."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{WEIGHTS}"))


def _read_card(name: str) -> Card:
    text = pretrained_card(name)
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
        megabytes=(FOLDER / name / WEIGHTS).stat().st_size / 1e6,
        licence=licence,
        command=facts["command"].strip("`"),
    )
