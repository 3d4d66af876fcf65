"""Configs and commands of runs that take seconds: few digits, narrow layers."""

import json
import os
import subprocess
import sys
from pathlib import Path

from ml_collections import ConfigDict

from stn_jax.experiments.distorted_mnist.config import make_config
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.training.checkpoints import Checkpoints
from stn_jax.experiments.training.optimizer import make_optimizer
from stn_jax.experiments.training.steps import create_state
from stn_jax.experiments.workdir.run_config import claim_workdir

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 1800
"""Seconds that a process may take on a machine that is busy with other things."""

OVERRIDES = {
    "data.source": "embedded",
    "data.subset": 16,
    "batch_size": 32,
    "eval_batch_size": 64,
    "num_epochs": 4.0,
    "eval_every_epochs": 2.0,
    "steps_per_dispatch": 3,
    "model.features": (16, 12),
}


def tiny_config(variant: str = "st_fcn_affine", distortion: str = "r", **overrides) -> ConfigDict:
    """Returns a config with 5 steps per epoch; `overrides` use `__` for the dots of a key."""
    config = make_config(distortion, variant)
    flat = {name.replace("__", "."): value for name, value in overrides.items()}
    config.update_from_flattened_dict(OVERRIDES | flat)
    return config


def save_untrained(config: ConfigDict, workdir: Path) -> None:
    """Makes `workdir` a run that was stopped before its first step, which takes no time."""
    claim_workdir(workdir, config)
    task = find_task(config)
    optimizer = make_optimizer(config.optimizer, num_steps=1)
    state = create_state(task.make_network(config), optimizer, 0, task.input_shape(config))
    with Checkpoints(workdir / "checkpoints", keep_newest=1) as checkpoints:
        checkpoints.save(state)


def launch_command(workdir: Path, *arguments: str, variant: str = "st_fcn_affine") -> list[str]:
    """Returns the command line of the same run."""
    flags = [f"--config.{name}={value}" for name, value in OVERRIDES.items()]
    config = f"--config=configs/mnist_r.py:{variant}"
    return [sys.executable, "launch.py", config, f"--workdir={workdir}", *flags, *arguments]


def launch(arguments: list[str], devices: int = 1, **options) -> subprocess.CompletedProcess:
    """Runs a command in the repository with `devices` virtual CPU devices."""
    return subprocess.run(
        arguments,
        cwd=REPOSITORY,
        env=environment(devices),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        **options,
    )


def environment(devices: int) -> dict[str, str]:
    flags = os.environ.get("XLA_FLAGS", "")
    return os.environ | {
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
    }


def read_metrics(workdir: Path) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
