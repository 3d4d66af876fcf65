"""The paper's experiments: what each section does its own way, from a config to data and model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from flax import linen as nn
from ml_collections import ConfigDict

from stn_jax.data.examples import Data
from stn_jax.errors import check_choice
from stn_jax.tasks import distorted_mnist, street_numbers


class Task(Protocol):
    """One module of this package; all raise UserError where a config is wrong."""

    PAPER_SOURCE: str
    """`config.data.source` of the data that the paper's errors are of."""

    def input_shape(self, config: ConfigDict) -> tuple[int, int, int]:
        """The (height, width, channels) of the network's input."""

    def make_network(self, config: ConfigDict, axis_name: str | None = None) -> nn.Module:
        """The network alone, which needs no data."""

    def model_name(self, config: ConfigDict) -> str:
        """What a result calls the network."""

    def paper_errors(self, config: ConfigDict) -> Mapping[str, float]:
        """The paper's test errors on such data, in per cent, by `model_name`; {} if it has none."""

    def load_data(self, config: ConfigDict) -> Data:
        """Loads, and first fetches or makes, the examples."""

    def read_image(self, path: Path, config: ConfigDict) -> np.ndarray:
        """An image file as the network's input, [H, W, C] float32."""


TASKS: dict[str, Task] = {"distorted_mnist": distorted_mnist, "street_numbers": street_numbers}


def find_task(config: ConfigDict) -> Task:
    """The task called `config.task`.

    Raises:
        UserError: there is none of that name.
    """
    check_choice(config.task, TASKS, "config.task")
    return TASKS[config.task]
