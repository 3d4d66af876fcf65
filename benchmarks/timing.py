"""Timing of several things in turn, so that a machine that slows down slows them all."""

import sys
import time
from collections.abc import Callable, Mapping

import jax
import numpy as np

_TURN = 0.02
"""Seconds that a turn lasts at least: several calls where one is shorter."""
_PAUSE = 0.01
"""Seconds before a turn, in which the idle threads of the library before stop spinning."""


def alternating(
    runs: Mapping[str, Callable[[], object]], *, repeats: tuple[int, int], budget: float
) -> dict[str, np.ndarray]:
    """Seconds that a call of each run takes, [repeats].

    In each repeat each run has its turn, after a pause: one call, or as many as fill a turn, of
    which the first is then not counted: it warms the caches. Two calls go before everything, for
    compilation and for an estimate.

    Args:
        runs: what to time, by name; a call may give JAX arrays or torch tensors still to come.
        repeats: at least and at most so many.
        budget: seconds that all turns together should take, between these limits.
    """
    calls = {}
    turns = 0.0
    for name, run in runs.items():
        _seconds(run, 1)
        once = _seconds(run, 1)
        calls[name] = max(1, round(_TURN / once))
        turns += once * (calls[name] + (calls[name] > 1))
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(int(np.clip(budget / turns, *repeats))):
        for name, run in runs.items():
            time.sleep(_PAUSE)
            if calls[name] > 1:
                _seconds(run, 1)
            seconds[name].append(_seconds(run, calls[name]))
    return {name: np.array(times) for name, times in seconds.items()}


def compared(times: Mapping[str, np.ndarray], reference: str) -> list[dict]:
    """A record for each run: quartiles of its seconds, and of its ratios to `reference`.

    The ratios are made repeat by repeat.
    """
    return [
        {
            "who": who,
            "seconds": quartiles(seconds),
            "ratio": quartiles(seconds / times[reference]),
            "repeats": len(seconds),
        }
        for who, seconds in times.items()
    ]


def quartiles(values: np.ndarray) -> list[float]:
    """The lower quartile, the median and the upper quartile."""
    return np.percentile(values, [25, 50, 75]).tolist()


def _seconds(run: Callable[[], object], calls: int) -> float:
    """Per call. On the CPU each call is waited for; an accelerator has its queue of them."""
    one_by_one = jax.default_backend() == "cpu"
    started = time.perf_counter()
    for _ in range(calls):
        result = run()
        if one_by_one:
            _wait(result)
    _wait(result)
    return (time.perf_counter() - started) / calls


def _wait(result: object) -> None:
    jax.block_until_ready(result)
    torch = sys.modules.get("torch")  # whoever times torch has imported it
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()
