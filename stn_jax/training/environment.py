"""What a result was made with."""

import platform
from importlib.metadata import version

import jax


def environment() -> dict:
    """`device`, and `versions` by name."""
    return {
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("jax", "flax", "optax", "numpy")},
        },
    }
