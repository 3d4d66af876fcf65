"""Measures the error of a network on its test set under each move."""

import functools
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jax import Array

from stn_jax.experiments.data.examples import Batch
from stn_jax.experiments.robustness.moves import MOVES, Move, move_images
from stn_jax.experiments.training.evaluation import make_evaluate_with
from stn_jax.experiments.training.seeds import eval_many
from stn_jax.experiments.training.setup import Setup
from stn_jax.experiments.training.steps import TrainState, eval_step

Curves = Mapping[str, Sequence[Sequence[float]]]
"""For each kind of move, the pairs of its amount and the test error in per cent."""


def measure(
    setup: Setup, state: TrainState, batch_size: int, *, stacked: bool = False
) -> list[Curves]:
    """Returns the curves of each seed; one program, compiled once, measures all of them.

    The network's inputs are moved, after all preprocessing. Test images that are distorted at
    random are taken undistorted instead, so that the moves start from what is upright and centred.

    Args:
        setup: provides the data and the network.
        state: a replicated state.
        batch_size: as in `make_evaluate`.
        stacked: whether the state holds many seeds, as in `make_evaluate`.
    """
    preprocessing = setup.data.preprocessing
    preprocess = preprocessing.undistorted or preprocessing.test

    def step(moved: tuple[TrainState, Move], batch: Batch) -> dict[str, Array]:
        state, move = moved
        evaluate = functools.partial(
            eval_step,
            model=setup.model,
            labels=setup.labels,
            preprocess=lambda images, ids: move_images(preprocess(images, ids), ids, move),
        )
        return (eval_many(evaluate) if stacked else evaluate)(state, batch)

    evaluate = make_evaluate_with(step, setup, batch_size)
    moves = {
        (kind, amount): Move()._replace(**{kind: amount})
        for kind, amounts in MOVES.items()
        for amount in amounts
    }
    # The kinds share the test set that is not moved.
    errors = {
        move: np.atleast_1d(evaluate((state, jax.tree.map(np.float32, move))).error_percent)
        for move in dict.fromkeys(moves.values())
    }
    num_seeds = len(errors[Move()])
    return [
        {
            kind: [
                [amount, round(float(errors[moves[kind, amount]][seed]), 4)] for amount in amounts
            ]
            for kind, amounts in MOVES.items()
        }
        for seed in range(num_seeds)
    ]
