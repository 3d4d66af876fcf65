import numpy as np
import pytest

from benchmarks import timing


def test_runs_take_turns_and_short_ones_are_called_more_often(monkeypatch):
    now, calls = 0.0, []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now)
    monkeypatch.setattr(timing.time, "sleep", lambda seconds: None)

    def run(name, seconds):
        nonlocal now
        calls.append(name)
        now += seconds

    runs = {"short": lambda: run("short", 0.001), "long": lambda: run("long", 0.03)}
    times = timing.alternating(runs, repeats=(3, 3), budget=0)
    np.testing.assert_allclose(times["short"], [0.001] * 3)
    np.testing.assert_allclose(times["long"], [0.03] * 3)
    turns = [name for name, last in zip(calls, [None, *calls], strict=False) if name != last]
    assert turns == ["short", "long"] * 4
    assert calls.count("long") == 2 + 3
    assert calls.count("short") == 2 + 3 * (1 + 20)  # a turn lasts 20 ms, after a call to warm up


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
