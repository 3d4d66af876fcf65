"""Checks a config, whoever wrote it, before anything is made from it."""

import difflib
from collections.abc import Iterator, Mapping

from ml_collections import ConfigDict

from stn_jax.errors import UserError
from stn_jax.experiments.config_fields import Choice, Field, FileName, Integer, Real, Switch
from stn_jax.experiments.tasks import TASKS, find_task
from stn_jax.experiments.training.optimizer import OPTIMIZERS, SCHEDULES

_MOST_EXAMPLES = 2**18  # no task has more to train on: a larger batch would repeat some

SHARED_FIELDS: dict[str, Field] = {
    "name": FileName(),
    "task": Choice(tuple(TASKS)),
    "seed": Integer(0, 2**32 - 1),
    "batch_size": Integer(1, _MOST_EXAMPLES),
    "eval_batch_size": Integer(1, _MOST_EXAMPLES),
    "num_epochs": Real(0, 1e6, above=True),  # the paper trains for 640
    "eval_every_epochs": Real(0, 1e6, above=True),
    "steps_per_dispatch": Integer(1, 10_000),
    "keep_checkpoints": Integer(1, 1000),
    "log_every": Integer(1, 10**9),
    "log.film": Switch(),
    "optimizer.name": Choice(OPTIMIZERS),
    "optimizer.learning_rate": Real(0, 1e38, above=True),  # of float32; training tells divergence
    "optimizer.schedule": Choice(SCHEDULES),
    "optimizer.momentum": Real(0, 1, below=True),
    "optimizer.drops": Integer(0, 100),
    "optimizer.weight_decay": Real(0, 1000),
    "optimizer.localisation_multiplier": Real(0, 1000),
}
"""What the settings that all tasks have can be."""

_OPTIONAL = ("log.film",)  # configs of older runs lack it

_MOST_BYTES = 2**31
"""Of the pictures of one dispatch; beyond, the arrays would also have too many elements."""


def fields_of(config: ConfigDict) -> dict[str, Field]:
    """Returns the settings that a config of this task has; raises UserError if it has no task."""
    if "task" not in config:
        raise UserError("config.task is missing: it is the name of an experiment")
    return SHARED_FIELDS | find_task(config).FIELDS


def check_config(config: ConfigDict) -> None:
    """Raises UserError unless every setting is known, present and in its range, and all fit.

    The message names the setting, its value and what it can be.
    """
    fields, settings = fields_of(config), dict(flat_settings(config))
    for name in settings:
        if name not in fields:
            raise UserError(unknown_setting(name, fields, config.task))
    for name, field in fields.items():
        if name in settings:
            field.check(f"config.{name}", settings[name])
        elif name not in _OPTIONAL:
            raise UserError(f"config.{name} is missing: config.task={config.task} needs it")
    task = find_task(config)
    task.make_network(config)
    height, width, channels = task.input_shape(config)
    for batch, at_once in (("batch_size", config.steps_per_dispatch), ("eval_batch_size", 1)):
        examples = config[batch] * at_once
        most = _MOST_BYTES // (height * width * channels)
        if examples > most:
            times = f", with config.steps_per_dispatch={at_once}," if at_once > 1 else ""
            raise UserError(
                f"config.{batch}={config[batch]}{times} is {examples} pictures of "
                f"{height}x{width} pixels at once: use at most {most // at_once}"
            )


def unknown_setting(name: str, fields: Mapping[str, Field], task: str) -> str:
    """Returns a message that says which setting was probably meant."""
    members = [field for field in fields if field.startswith(f"{name}.")]
    if members:
        return f"config.{name} is a group of settings: set config.{members[0]}, for example"
    last_parts = {field: field.rpartition(".")[2] for field in fields}
    near = difflib.get_close_matches(name.lower().rpartition(".")[2][:80], last_parts.values(), n=1)
    meant = [f"config.{field}" for field, last in last_parts.items() if last in near]
    hint = f": did you mean {' or '.join(meant)}?" if meant else ""
    return f"config.{name[:80]} does not exist with config.task={task}{hint}"


def flat_settings(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yields every setting by its dotted name."""
    for key, value in config.items():
        if isinstance(value, ConfigDict) and value:
            yield from flat_settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
