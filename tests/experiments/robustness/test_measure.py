"""Tests the curves of networks that were never trained."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from stn_jax.experiments.data.examples import Data, Examples, Preprocessing
from stn_jax.experiments.labels import ClassLabels
from stn_jax.experiments.robustness.measure import measure
from stn_jax.experiments.robustness.moves import MOVES, Move, move_images
from stn_jax.experiments.street_numbers.labels import NumberLabels
from stn_jax.experiments.training.evaluation import make_evaluate
from stn_jax.experiments.training.optimizer import make_optimizer
from stn_jax.experiments.training.parallel import replicate
from stn_jax.experiments.training.seeds import stack_states
from stn_jax.experiments.training.setup import Setup
from tests.experiments.tiny import tiny_config

RNG = np.random.default_rng(0)


class Network(nn.Module):
    outputs: tuple[int, ...]

    @nn.compact
    def __call__(self, images, train=False):
        scores = nn.Dense(int(np.prod(self.outputs)))(images.reshape(len(images), -1))
        return scores.reshape(-1, *self.outputs)


def make_setup(labels, outputs, targets, undistorted=None, test=None):
    images = RNG.integers(256, size=(len(targets), 12, 12, 1)).astype(np.uint8)
    examples = Examples(images, targets.astype(np.int32))
    plain = Preprocessing(lambda images, ids, key: None, test or scaled, undistorted)
    return Setup(
        data=Data(examples, examples, plain, "noise"),
        input_shape=(12, 12, 1),
        labels=labels,
        model=Network(outputs),
        model_name="network",
        optimizer=make_optimizer(tiny_config().optimizer, 1),
        num_steps=1,
        eval_every=1.0,
    )


def scaled(images, ids):
    return images.astype(np.float32) / 255


@pytest.fixture(scope="module")
def classes():
    return make_setup(ClassLabels(tuple("abc"), "letter"), (3,), RNG.integers(3, size=50))


def test_without_a_move_the_error_is_the_test_error(classes):
    state = replicate(classes.initial_state(0))
    [curves] = measure(classes, state, 16)
    error = float(make_evaluate(classes, 16)(state).error_percent)
    for kind, amounts in MOVES.items():
        assert [amount for amount, _ in curves[kind]] == list(amounts)
        assert dict(curves[kind])[getattr(Move(), kind)] == round(error, 4)


def test_each_error_is_that_of_the_moved_images(classes):
    state = replicate(classes.initial_state(0))
    [curves] = measure(classes, state, 16)
    images, labels = classes.data.test
    for kind, amount in (("rotation", 45), ("scale", 0.5), ("shift", 30)):
        moved = move_images(scaled(images, None), np.arange(50), Move()._replace(**{kind: amount}))
        answers = classes.model.apply({"params": state.params}, moved).argmax(axis=-1)
        assert dict(curves[kind])[amount] == 100 * np.mean(answers != labels)
    assert len({error for kind in MOVES for _, error in curves[kind]}) > 3


def test_seeds_that_are_stacked_have_the_curves_that_each_has_alone(classes):
    states = [classes.initial_state(seed) for seed in (3, 4)]
    together = measure(classes, replicate(stack_states(states)), 16, stacked=True)
    alone = [measure(classes, replicate(state), 16)[0] for state in states]
    assert together == alone
    assert together[0] != together[1]


def test_all_moves_share_one_program_and_undistorted_images_are_moved():
    traced = []

    def undistorted(images, ids):
        traced.append(ids)
        return scaled(images, ids)

    def distorted(images, ids):
        raise AssertionError

    labels = ClassLabels(tuple("abc"), "letter")
    setup = make_setup(labels, (3,), RNG.integers(3, size=20), undistorted, distorted)
    measure(setup, replicate(setup.initial_state(0)), 16)
    assert len(traced) == 1
    assert isinstance(traced[0], jax.core.Tracer)


def test_an_answer_of_several_parts_is_wrong_if_one_of_them_is():
    setup = make_setup(NumberLabels(), (5, 11), RNG.integers(10, size=(20, 5)))
    [curves] = measure(setup, replicate(setup.initial_state(0)), 16)
    assert all(error > 90 for kind in MOVES for _, error in curves[kind])
