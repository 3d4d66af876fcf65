"""The hardware and software versions that a result was produced with."""

import os
import platform
from importlib.metadata import version

import jax


def environment() -> dict:
    """Returns `device` and `versions`, the versions of Python and the libraries by name.

    On the CPU, `device` includes the number of cores that the process may use.
    """
    device = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    if jax.default_backend() == "cpu":
        device += f" (cores: {usable_cores()})"
    return {
        "device": device,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("jax", "flax", "optax", "numpy")},
        },
    }


def usable_cores() -> int:
    """Returns how many of the machine's cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # not available on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
