import time

import numpy as np
import pytest

from benchmarks import timing


def test_runs_take_turns_and_short_ones_are_called_more_often():
    calls = []

    def run(name, seconds):
        calls.append(name)
        time.sleep(seconds)

    runs = {"short": lambda: run("short", 0.001), "long": lambda: run("long", 0.03)}
    times = timing.alternating(runs, repeats=(3, 3), budget=0)
    assert {name: len(seconds) for name, seconds in times.items()} == {"short": 3, "long": 3}
    assert (times["short"] >= 0.001).all() and (times["long"] >= 0.03).all()
    turns = [name for name, last in zip(calls, [None, *calls], strict=False) if name != last]
    assert turns == ["short", "long"] * 4
    assert calls.count("long") == 2 + 3
    assert calls.count("short") > 2 + 3


@pytest.mark.parametrize(("budget", "expected"), [(0.0, 2), (1e9, 4)])
def test_the_budget_decides_between_the_limits(budget, expected):
    times = timing.alternating({"": lambda: None}, repeats=(2, 4), budget=budget)
    assert len(times[""]) == expected


def test_ratios_are_made_repeat_by_repeat():
    # The machine was four times slower in the second repeat; the ratio is the same.
    times = {"ours": np.array([1.0, 4.0]), "peer": np.array([2.0, 8.0])}
    ours, peer = timing.compared(times, "ours")
    assert ours["ratio"] == [1, 1, 1]
    assert peer["ratio"] == [2, 2, 2]
    assert peer["seconds"] == [3.5, 5.0, 6.5]
