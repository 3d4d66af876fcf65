"""Timing of several things in turn, so that a machine that slows down slows them all."""

import time
from collections.abc import Callable, Mapping

import jax
import numpy as np


def alternating(runs: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, np.ndarray]:
    """Seconds of each repeat of each run, [repeats]; one more of each goes before, not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            jax.block_until_ready(run())
            seconds[name].append(time.perf_counter() - started)
    return {name: np.array(times[1:]) for name, times in seconds.items()}


def ratio(times: np.ndarray, reference: np.ndarray) -> str:
    """The median of the ratios repeat by repeat, with their quartiles."""
    low, middle, high = np.percentile(times / reference, [25, 50, 75])
    return f"{middle:.3f} ({low:.3f}..{high:.3f})"


def machine() -> str:
    """What the figures were measured on."""
    return f"{jax.device_count()} x {jax.devices()[0].device_kind}, JAX {jax.__version__}"
