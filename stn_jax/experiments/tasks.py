"""The interface of an experiment that the shared code uses, and the list of experiments.

To add an experiment, add a folder with a `task.py`, and a line to `TASKS`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict
from PIL import Image

from stn_jax.errors import UserError, check_choice
from stn_jax.experiments.config_fields import Field
from stn_jax.experiments.data.examples import Data
from stn_jax.experiments.data.picture_files import open_image
from stn_jax.experiments.distorted_mnist import task as distorted_mnist
from stn_jax.experiments.labels import LabelKind
from stn_jax.experiments.own_pictures import task as own_pictures
from stn_jax.experiments.street_numbers import task as street_numbers
from stn_jax.experiments.traffic_signs import task as traffic_signs


class Task(Protocol):
    """The module `task.py` of an experiment; functions raise UserError if the config is invalid."""

    PUBLISHED_SOURCE: str | None
    """The `config.data.source` that published errors are for; None if there is only one source."""

    FIELDS: dict[str, Field]
    """What the settings of the task's configs can be, by dotted name."""

    VARIANTS: tuple[tuple[str, ...], ...]
    """The words of the variants of the task's configs; a variant has at most one of each tuple."""

    LARGEST_VALUE: float
    """No value of a network's input is larger than this; pixels in 0..255 usually are."""

    PICTURE: str
    """What a picture of the network's size must show."""

    def completed(self, config: ConfigDict) -> ConfigDict:
        """Returns the config with the settings that are found in the data, such as the classes.

        They are kept with a run, which can then be used without the data.
        """

    def labels(self, config: ConfigDict) -> LabelKind:
        """Returns the kind of labels of the examples."""

    def input_shape(self, config: ConfigDict) -> tuple[int, int, int]:
        """Returns the (height, width, channels) of the network's input."""

    def make_network(self, config: ConfigDict, axis_name: str | None = None) -> nn.Module:
        """Builds the network, without loading data."""

    def model_name(self, config: ConfigDict) -> str:
        """Returns the name of the network in results."""

    def published_errors(self, config: ConfigDict) -> Mapping[str, float]:
        """Returns published test errors on the config's data in per cent.

        The errors of networks that the task has are given by their `model_name`.
        """

    def load_data(self, config: ConfigDict) -> Data:
        """Loads the examples, after downloading or generating them if necessary."""

    def network_input(self, picture: Image.Image, config: ConfigDict) -> np.ndarray:
        """Returns a picture, mode RGB, as an input to the network, [H, W, C] float32."""

    def from_pixels(self, pixels: Array, config: ConfigDict) -> Array:
        """Returns pictures of the network's size, [B, H, W, C] uint8, as its input, float32."""


TASKS: dict[str, Task] = {
    "distorted_mnist": distorted_mnist,
    "own_pictures": own_pictures,
    "street_numbers": street_numbers,
    "traffic_signs": traffic_signs,
}


def find_task(config: ConfigDict) -> Task:
    """Returns the task named `config.task`; raises UserError if there is no such task."""
    check_choice(config.task, TASKS, "config.task")
    return TASKS[config.task]


def read_image(path: Path, config: ConfigDict) -> np.ndarray:
    """Reads an image file as an input to the network of a config.

    Raises:
        UserError: the file cannot be read or used; the message names it.
    """
    picture = open_image(path)
    try:
        return find_task(config).network_input(picture, config)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
