"""The machine and the package versions that results were measured with."""

import importlib.metadata
import platform
from datetime import datetime
from pathlib import Path

import jax

from benchmarks.peers import PEERS
from stn_jax.experiments.training.environment import usable_cores

PACKAGES = ("stn_jax", "jax", "jaxlib", "flax", "numpy", "scipy", *PEERS)


def describe() -> dict[str, str]:
    """Returns the machine, its devices and the package versions, each in a few words."""
    devices = jax.devices()
    return {
        "processor": f"{_processor()}, {usable_cores()} cores",
        "JAX devices": f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})",
        "peak memory of a device": _peak_memory(devices[0]),
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "date": datetime.now().astimezone().isoformat(timespec="minutes"),
    }


def _peak_memory(device: jax.Device) -> str:
    statistics = device.memory_stats() or {}  # a CPU has none
    peak = statistics.get("peak_bytes_in_use")
    return "unknown" if peak is None else f"{peak / 1e6:.0f} MB"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    values: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        values.setdefault(key.strip(), value.strip())
    name, family, model = (
        values.get(key, "unknown") for key in ("model name", "cpu family", "model")
    )
    return f"{name} (family {family}, model {model})"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
