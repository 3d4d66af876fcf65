"""Timing of several functions in turn, so that a slowdown of the machine affects all of them."""

import sys
import time
from collections.abc import Callable, Mapping

import jax
import numpy as np

_TURN = 0.02
"""The least duration of a turn in seconds; it has several calls if one call is shorter."""
_PAUSE = 0.01
"""Seconds before a turn, in which idle threads of the previous library stop spinning."""


def alternating(
    runs: Mapping[str, Callable[[], object]], *, repeats: tuple[int, int], budget: float
) -> dict[str, np.ndarray]:
    """Returns the seconds that a call of each run takes, [repeats].

    In each repeat, every run has a turn after a pause. A turn is a single call, or one call that
    warms the caches and is not counted, followed by as many as fill the turn. Before all repeats,
    each run is called twice, to compile it and to estimate its time.

    Args:
        runs: the functions to time, by name. They may return JAX arrays or torch tensors whose
            values are still being computed.
        repeats: the least and the greatest number of repeats.
        budget: the seconds that all turns together should take, as far as `repeats` allows.
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
    """Returns a record for each run: quartiles of its seconds, and of its ratios to `reference`.

    The ratios are computed repeat by repeat.
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
    """Returns the lower quartile, the median and the upper quartile."""
    return np.percentile(values, [25, 50, 75]).tolist()


def _seconds(run: Callable[[], object], calls: int) -> float:
    """Returns the seconds per call.

    On the CPU each call is awaited before the next; on an accelerator all calls are queued.
    """
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
    torch = sys.modules.get("torch")  # imported if torch is timed
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()
