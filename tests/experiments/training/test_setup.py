"""Tests of when evaluations are due, and of what does not fit the data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stn_jax.errors import UserError
from stn_jax.experiments.training.setup import Setup, make_setup
from tests.experiments.tiny import tiny_config


def due(num_steps, eval_every):
    parts = dict.fromkeys(Setup._fields) | {"num_steps": num_steps, "eval_every": eval_every}
    setup, step, steps = Setup(**parts), 0, []
    while step < num_steps:
        step = setup.next_evaluation(step)
        steps.append(step)
    return steps


@pytest.mark.parametrize(
    ("num_steps", "eval_every", "steps"),
    [
        (625, 312.5, [312, 625]),  # 10 epochs of 62.5 steps, every 5
        (12, 4.4, [4, 9, 12]),
        (3, 1.0, [1, 2, 3]),
        (3, 100.0, [3]),
        (21, 3 * (0.1 * 70), [21]),
    ],
)
def test_evaluations_are_due_where_epochs_end(num_steps, eval_every, steps):
    assert due(num_steps, eval_every) == steps


@given(st.integers(1, 500), st.floats(1, 600))
def test_every_evaluation_is_due_once_and_the_last_one_at_the_end(num_steps, eval_every):
    steps = due(num_steps, eval_every)
    assert steps[-1] == num_steps
    for number, step in enumerate(steps[:-1], 1):
        assert abs(step - number * eval_every) <= 0.5 + 1e-6


def test_a_batch_of_more_than_all_examples_is_refused():
    assert make_setup(tiny_config(batch_size=160)).num_steps == 4
    with pytest.raises(UserError, match="batch_size=161 is more than all 160 training examples"):
        make_setup(tiny_config(batch_size=161))
