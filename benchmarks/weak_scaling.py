"""What a training step sends between 1 to 8 devices, each of which has the same batch size.

The numbers are read from the compiled program, which is not run: times on virtual devices would
mean nothing. Each number of devices needs a process: python -m benchmarks.weak_scaling NETWORK
"""

import functools
import json
import math
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
from ml_collections import ConfigDict

from benchmarks import networks, report
from benchmarks.checks import WrongResult
from benchmarks.settings import Settings

TITLE = "Weak scaling"
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
        WrongResult: the bytes depend on the number of devices, or are too few for the gradients.
    """
    del earlier
    records: list[dict] = []
    names = list(CONFIGS)[:1] if settings.short else list(CONFIGS)
    counts = (1, 2) if settings.short else (1, 2, 4, 8)
    with ThreadPoolExecutor(max_workers=2) as pool:  # nothing is timed
        for name in names:
            compiled = functools.partial(_in_process, name, settings.short)
            found = list(pool.map(compiled, counts))
            _check(name, found)
            records += found
            settings.say(f"{name}: {found[-1]['collectives']} on {counts[-1]} devices")
    return records


def _in_process(name: str, short: bool, devices: int) -> dict:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.weak_scaling", name, *(["short"] if short else [])],
        capture_output=True,
        text=True,
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        check=False,
    )
    if run.returncode:
        raise RuntimeError(
            f"weak scaling of {name} on {devices} devices failed:\n{run.stderr[-2000:]}"
        )
    return json.loads(run.stdout.splitlines()[-1])


def _check(name: str, records: list[dict]) -> None:
    several = [record for record in records if record["devices"] > 1]
    sent = {record["bytes"] for record in several}
    if len(sent) > 1:
        raise WrongResult(f"{name}: bytes per step depend on the number of devices: {sent}")
    if min(sent) < several[0]["parameter bytes"]:
        raise WrongResult(f"{name}: {min(sent)} bytes per step are too few for all gradients")


def _main(name: str, short: bool) -> None:
    config: ConfigDict = CONFIGS[name]()
    if short:
        networks.shrink(config)
    network = networks.make(config)
    devices = jax.device_count()
    batch = networks.random_batch(network, BATCH * devices)
    state = jax.eval_shape(network.initial_state)
    train = networks.training(network, 1)
    text = train.lower(state, batch, np.int32(1)).compile().as_text()
    sizes = [leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state.params)]
    record = {"network": name, "devices": devices, "batch": BATCH * devices}
    print(json.dumps(record | collectives(text) | {"parameter bytes": sum(sizes)}))


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
            ", ".join(f"{n} x {name}" for name, n in record["collectives"].items()) or "none",
            f"{record['bytes'] / 1e6:.3f}",
            f"{2 * (1 - 1 / record['devices']) * record['bytes'] / 1e6:.3f}",
            f"{record['parameter bytes'] / 1e6:.3f}",
        ]
        for record in records
    ]
    head = ["network", "devices", "batch", "collectives per step", "collectives, MB"]
    head += ["sent by each device in a ring, MB", "parameters, MB"]
    return report.table(head, rows)


if __name__ == "__main__":
    _main(sys.argv[1], "short" in sys.argv[2:])
