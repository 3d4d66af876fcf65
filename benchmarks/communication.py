"""What the devices send each other in a training step: gradients once, and statistics with them.

Read from the programs that are compiled for the CPU, which are not run: times on virtual devices
would mean nothing. The bytes must be those of the gradients, the loss, the error, the thetas of the
whole batch, and twice those of the batch statistics: each batch normalisation averages its own in
the forward pass, and their gradients in the backward pass. The network needs these two at once, so
they are two collectives; all else must go along with them, or in one more.
"""

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jax.extend import backend

from benchmarks import networks, report
from benchmarks.checks import WrongResult
from benchmarks.settings import Settings

TITLE = "What is sent"
CONFIGS = {
    "4.1 st_cnn_affine": lambda: networks.section_4_1("st_cnn_affine", "modern"),
    "4.2 multi, 64 px": lambda: networks.section_4_2("multi", 64, "modern"),
}
BATCH = 16
"""The batch size on each device."""
_COLLECTIVE = re.compile(
    r"= (?P<shapes>.*?) (?P<name>all-reduce|all-gather|all-to-all|reduce-scatter|"
    r"collective-broadcast|collective-permute)(-start)?\("
)
_SHAPE = re.compile(r"\b[a-z]+(?P<bits>\d+)\[(?P<sizes>[\d,]*)\]")


def measure(settings: Settings, earlier: dict) -> list[dict]:
    """Returns a record for each network and number of devices.

    Raises:
        WrongResult: a step sends more or less than it should.
    """
    del earlier
    records: list[dict] = []
    names = list(CONFIGS)[:1] if settings.short else list(CONFIGS)
    counts = (2,) if settings.short else (2, 4, 8)
    for name in names:
        found = in_process(name, counts, shrink=settings.short)
        for record in found:
            check(record)
        records += found
        settings.say(f"{name}: {found[-1]['collectives']} on {counts[-1]} devices")
    return records


def in_process(name: str, counts: Sequence[int], *, shrink: bool) -> list[dict]:
    """Returns a record for each number of devices, from a process that has so many."""
    program = f"from benchmarks import communication as c; c.main({name!r}, {counts!r}, {shrink})"
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        check=False,
    )
    if run.returncode:
        raise RuntimeError(f"what {name} sends cannot be found out:\n{run.stderr[-2000:]}")
    return [json.loads(line) for line in run.stdout.splitlines()]


def main(name: str, counts: Sequence[int], shrink: bool) -> None:
    """Prints what `in_process` returns; this process must not have used JAX's devices."""
    for record in _records(name, counts, shrink):
        print(json.dumps(record))


def _records(name: str, counts: Sequence[int], shrink: bool) -> Iterator[dict]:
    config = CONFIGS[name]()
    if shrink:
        networks.shrink(config)
    for devices in counts:
        backend.clear_backends()
        jax.config.update("jax_num_cpu_devices", devices)
        network = networks.make(config)
        batch = networks.random_batch(network, BATCH * devices)
        state = jax.eval_shape(network.initial_state)
        train = networks.training(network, 1)
        lowered = train.lower(state, batch, np.int32(1))
        _, metrics = lowered.out_info
        thetas = [leaf for name, leaf in metrics.items() if name.endswith("theta/mean")]
        yield {
            "network": name,
            "devices": devices,
            "batch": BATCH * devices,
            **collectives(lowered.compile().as_text()),
            "least bytes": {
                "gradients": _bytes(state.params),
                "batch statistics": 2 * _bytes(state.batch_stats),
                "theta": _bytes(thetas) * BATCH * devices,
                "loss and error": _bytes([metrics["loss"], metrics["error"]]),
            },
            "least collectives": len(jax.tree.leaves(state.batch_stats)) + 1,
        }


def _bytes(tree: object) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def check(record: dict) -> None:
    """Raises WrongResult if a step sends anything twice, not at all, or too often."""
    least, most_often = record["least bytes"], {"all-reduce": record["least collectives"]}
    where = f"{record['network']} on {record['devices']} devices"
    if record["bytes"] != sum(least.values()):
        raise WrongResult(f"{where}: {record['bytes']} bytes per step, not those of {least}")
    if record["collectives"] != most_often:
        raise WrongResult(f"{where}: {record['collectives']} per step, not {most_often}")


def collectives(program: str | None) -> dict:
    """Returns how often each collective occurs in a compiled program, and the bytes of all.

    The bytes are those of the results on one device.
    """
    counts: dict[str, int] = {}
    total = 0
    for match in _COLLECTIVE.finditer(program or ""):
        counts[match["name"]] = counts.get(match["name"], 0) + 1
        for shape in _SHAPE.finditer(match["shapes"]):
            sizes = [int(size) for size in shape["sizes"].split(",") if size]
            total += math.prod(sizes) * int(shape["bits"]) // 8
    return {"collectives": counts, "bytes": total}


def markdown(records: list[dict]) -> str:
    """Returns a table with a row for each network and number of devices."""
    rows = [
        [
            record["network"],
            record["devices"],
            record["batch"],
            ", ".join(f"{n} x {name}" for name, n in record["collectives"].items()),
            record["bytes"],
            *record["least bytes"].values(),
            f"{2 * (1 - 1 / record['devices']) * record['bytes'] / 1e6:.3f}",
        ]
        for record in records
    ]
    head = ["network", "devices", "batch", "collectives per step", "bytes per step"]
    head += [*records[0]["least bytes"], "sent by each device in a ring, MB"]
    return report.table(head, rows)
