"""The config that a run's folder belongs to, `config.json`."""

import json
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from stn_jax.errors import UserError
from stn_jax.experiments.config_check import check_config
from stn_jax.experiments.workdir.json_files import OBJECT, TEXT, check_entries, read_json
from stn_jax.files import remove_leftovers, write_atomically

# The location of the data, the experiment's name and the pictures do not change a run's result.
_NOT_PART_OF_A_RUN = ("data.data_dir", "data.dir", "data.manual_dir", "log.film", "name")
# Settings that the configs of older runs lack, with the values that those runs used.
_ADDED = {
    "distorted_mnist": {
        "data": {"augment": {"deformation": 0.0, "linear": 0.0}},
        "model": {"dropout": 0.0, "dtype": "float32"},
    },
    "street_numbers": {
        "data": {
            "augment": {"linear": 0.0, "shift": 0.0, "invert": False},
            "aspect": 1.0,
            "composed": 0,
            "drawn": 0,
            "letterbox": False,
            "standardise": False,
        },
        "model": {"attention": False, "kernel_size": 5, "poolings": 4},
    },
}
# Settings that the configs of older runs have, with the values that change nothing.
_REMOVED = {
    "distorted_mnist": {
        "data.augment.shift": 0,
        "data.augment.brightness": 0,
        "data.augment.contrast": 0,
    },
}


def claim_workdir(workdir: Path, config: ConfigDict) -> None:
    """Creates the folder with its `config.json`, or checks that it belongs to this config.

    Removes the temporary files of killed processes.

    Raises:
        UserError: if the folder belongs to another config, or cannot be written.
    """
    check_workdir(workdir, config)
    path = workdir / "config.json"
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        for folder in (workdir, workdir / "figures", workdir / "film"):
            remove_leftovers(folder)
        if not path.exists():
            write_atomically(path, config.to_json(indent=2, sort_keys=True) + "\n")
    except OSError as error:
        raise UserError(f"cannot write to --workdir={workdir}: {error.strerror}") from error


def check_workdir(workdir: Path, config: ConfigDict) -> None:
    """Raises UserError if the folder belongs to another config; writes nothing."""
    if (workdir / "config.json").exists():
        differing = _differences(read_config(workdir), config)
        if differing:
            raise UserError(
                f"{workdir} belongs to a run with another config ({'; '.join(differing)}): "
                "choose another --workdir, or use the same config to resume that run"
            )
    elif (workdir / "checkpoints").exists():
        raise UserError(f"{workdir} has checkpoints but no config.json: choose another --workdir")


def read_config(workdir: Path) -> ConfigDict:
    """Reads the config of the run in `workdir`.

    Raises:
        UserError: if there is none, or it cannot be read.
    """
    try:
        return config_of_file(workdir / "config.json")
    except FileNotFoundError as error:
        raise UserError(
            f"no run in --workdir={workdir} (no config.json): train one there first, or name the "
            "folder of a run"
        ) from error


def config_of_file(path: Path) -> ConfigDict:
    """Reads a config, which may be of an older version; a missing file raises FileNotFoundError.

    Raises:
        UserError: it cannot be read.
    """
    return read_json(path, _completed)


def _completed(content: Any) -> ConfigDict:
    """Returns a config of this version; `content` may be from an older one."""
    check_entries(content, {"task": TEXT, "data": OBJECT, "model": OBJECT})
    config = ConfigDict(_ADDED.get(content["task"], {}))
    config.update(content)
    _drop_removed(config)
    check_config(config)
    return config


def _drop_removed(config: ConfigDict) -> None:
    for key, neutral in _REMOVED.get(config.task, {}).items():
        *parents, name = key.split(".")
        parent = config
        for part in parents:
            parent = parent.get(part, {})
        if name not in parent:
            continue
        if parent[name] != neutral:
            raise ValueError(
                f"it has {key}={parent[name]}, a setting that was removed after version 0.1.0: "
                "use that version for this run"
            )
        del parent[name]


def _differences(old: ConfigDict, new: ConfigDict) -> list[str]:
    before, after = settings(old), settings(new)
    return [
        f"{key}: {before.get(key)!r} there, {after.get(key)!r} now"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def settings(config: ConfigDict) -> dict[str, object]:
    """Returns the settings that a run's result depends on, by dotted key, as JSON values."""
    flat = _flat(config)
    return {key: flat[key] for key in sorted(flat.keys() - set(_NOT_PART_OF_A_RUN))}


def _flat(config: ConfigDict, prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in json.loads(config.to_json()).items():
        if isinstance(value, dict):
            flat |= _flat(ConfigDict(value), f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
