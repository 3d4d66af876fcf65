"""Configs of traffic-sign runs that take seconds: few signs, narrow layers."""

from pathlib import Path

from ml_collections import ConfigDict

from stn_jax.experiments.traffic_signs.config import make_config

OVERRIDES = {
    "data.size": 16,
    "model.filters": (4, 8),
    "model.pooled": (1, 2),
    "model.features": (16,),
    "model.localisation_filters": (4,),
    "model.localisation_features": (8,),
    "batch_size": 8,
    "eval_batch_size": 8,
    "num_epochs": 2.0,
    "eval_every_epochs": 1.0,
    "log_every": 1,
}


def tiny_signs_config(
    network: str, data_dir: Path, manual_dir: Path | str = "", **overrides
) -> ConfigDict:
    """Returns a config for test archives; `overrides` use `__` for the dots of a key."""
    config = make_config(network, None)
    flat = {name.replace("__", "."): value for name, value in overrides.items()}
    places = {"data.data_dir": str(data_dir), "data.manual_dir": str(manual_dir)}
    config.update_from_flattened_dict(OVERRIDES | places | flat)
    return config
