"""What the processes of a group run, besides `launch.py`; each prints what all have found."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stn_jax.experiments.data.examples import Examples
from stn_jax.experiments.street_numbers.drawn import synthetic
from stn_jax.experiments.training import hosts
from stn_jax.experiments.training.evaluation import make_evaluate
from stn_jax.experiments.training.loop import load
from stn_jax.experiments.training.parallel import replicate
from stn_jax.experiments.training.setup import Setup, make_setup
from tests.experiments.tiny import tiny_config
from tests.experiments.tiny_numbers import tiny_numbers_config


def evaluate(cases: Sequence[tuple[int, int]]) -> None:
    """Tells an untrained network's loss and error, for each (test examples, batch size)."""
    _join()
    setup = make_setup(tiny_config())
    state = replicate(setup.initial_state(0))
    evaluations = [
        make_evaluate(_with_first(setup, number), batch_size)(state) for number, batch_size in cases
    ]
    _tell([(float(found.loss), float(found.error_percent)) for found in evaluations])


def prepare(data_dirs: Sequence[str]) -> None:
    """Loads drawn numbers, kept in one folder or in one per process; tells where it drew them."""
    process = _join()
    drawn, write = [], synthetic._write

    def noted(folder, *arguments):
        drawn.append(str(folder.parent))
        write(folder, *arguments)

    synthetic._write = noted
    load(tiny_numbers_config("cnn", Path(data_dirs[process % len(data_dirs)])))
    _tell(drawn)


def listen() -> None:
    """Tells at which addresses each process listens while they compute together."""
    _join()
    hosts.from_writer(np.zeros(3))
    mine = {os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.exists()}
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/self/net", table).read_text().splitlines()[1:]:
            _, address, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in mine:
                found.append(address)
    _tell(found)


def _with_first(setup: Setup, number: int) -> Setup:
    """Returns a setup with only so many of its test examples."""
    images, labels = setup.data.test
    test = Examples(images[:number], labels[:number])
    return setup._replace(data=setup.data._replace(test=test))


def _join() -> int:
    """Connects this process to the others that the arguments name, if any; returns its number."""
    values = [argument.partition("=")[2] for argument in sys.argv[1:]]
    if not values:
        return 0
    coordinator, processes, process = values
    hosts.join("test", coordinator, int(processes), int(process))
    return int(process)


def _tell(facts: object) -> None:
    print(json.dumps(list(map(json.loads, hosts.meet("facts", note=json.dumps(facts))))))
