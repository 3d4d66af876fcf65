"""Configs and commands of street-number runs that take seconds: few numbers, narrow layers."""

import itertools
import sys
from pathlib import Path

from ml_collections import ConfigDict

from stn_jax.experiments.street_numbers.config import DATA, RECIPES, SIZES, make_config

VARIANTS = [
    ",".join(words)
    for data in (
        *itertools.product(SIZES, sorted({*DATA} - {"real_small"})),
        *(("real_small",), ("real_small", "drawn")),
    )
    for words in ((*data, recipe) for recipe in RECIPES)
]
"""All variants, with every word that has a default."""

OVERRIDES = {
    "data.synthetic.train": 48,
    "data.synthetic.test": 20,
    "data.crop": 24,
    "model.filters": (4, 4, 8, 8, 8, 8, 8, 8),
    "model.features": (16,),
    "model.localisation_filters": (4, 4),
    "model.localisation_features": (8, 8),
    "model.dropout": 0.5,
    "batch_size": 16,
    "eval_batch_size": 16,
    "num_epochs": 2.0,
    "log_every": 1,
}


def tiny_numbers_config(network: str, data_dir: Path, **overrides) -> ConfigDict:
    """Returns a config with 3 steps per epoch; `overrides` use `__` for the dots of a key."""
    config = make_config(network, "synthetic")
    flat = {name.replace("__", "."): value for name, value in overrides.items()}
    config.update_from_flattened_dict(OVERRIDES | {"data.data_dir": str(data_dir)} | flat)
    return config


def launch_numbers_command(
    network: str, data_dir: Path, workdir: Path, *arguments: str
) -> list[str]:
    """Returns the command line of the same run."""
    flags = [f"--config.{name}={value}" for name, value in OVERRIDES.items()]
    return [
        *(sys.executable, "launch.py", f"--config=configs/svhn_{network}.py:synthetic"),
        *(f"--config.data.data_dir={data_dir}", f"--workdir={workdir}", *flags, *arguments),
    ]
