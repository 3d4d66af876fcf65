import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stn_jax.experiments.data.loader import evaluation_batches, training_batches
from stn_jax.experiments.distorted_mnist.network import make_model
from stn_jax.experiments.training.parallel import parallel_eval, parallel_train, replicate
from stn_jax.experiments.training.setup import make_setup
from stn_jax.experiments.training.steps import eval_step, thetas
from tests.experiments.tiny import tiny_config


@pytest.fixture(scope="module")
def setup():
    config = tiny_config(optimizer__name="sgd", optimizer__momentum=0.9)
    return make_setup(config)


@pytest.fixture(scope="module")
def run_up_to_three(setup):
    step = functools.partial(setup.train_step(), seed=0)
    return parallel_train(step, 3)


def batches(setup, start, stop):
    return training_batches(setup.data.train, start, stop, seed=0, batch_size=32)


def test_many_steps_in_one_dispatch_are_the_same_steps(setup, run_up_to_three):
    initial = setup.initial_state(0)
    together, metrics = run_up_to_three(replicate(initial), batches(setup, 0, 3), np.int32(3))
    one_by_one, losses = replicate(initial), []
    for step in range(3):
        batch = jax.tree.map(lambda leaf, s=step: leaf[:, [s, 0, 0]], batches(setup, 0, 3))
        one_by_one, metric = run_up_to_three(one_by_one, batch, np.int32(1))
        losses.append(metric["loss"][0])
    assert together.step == one_by_one.step == 3
    chex.assert_trees_all_close(together, one_by_one, rtol=1e-6)
    np.testing.assert_allclose(metrics["loss"], losses, rtol=1e-6)


def test_a_step_takes_over_the_memory_of_its_state(setup, run_up_to_three):
    initial = setup.initial_state(0)
    state = replicate(initial)
    run_up_to_three(state, batches(setup, 0, 3), np.int32(1))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.params))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(initial))


def test_steps_not_taken_leave_no_trace(setup, run_up_to_three):
    initial = replicate(setup.initial_state(0))
    taken, metrics = run_up_to_three(initial, batches(setup, 0, 3), np.int32(2))
    assert taken.step == 2
    assert np.all(metrics["loss"][:2] > 0)
    assert not np.any(metrics["loss"][2:])


def test_the_step_is_gradient_descent_on_the_mean_loss(setup, run_up_to_three):
    """Compares with the same step written out by hand, without pmap and the loop."""
    state = setup.initial_state(0)
    stacked = batches(setup, 0, 3)
    next_state, metrics = run_up_to_three(replicate(state), stacked, np.int32(1))
    batch = jax.tree.map(lambda leaf: leaf[0, 0], stacked)
    key = jax.random.fold_in(jax.random.key(0), 0)
    images = setup.data.preprocessing.train(jnp.asarray(batch.images), jnp.asarray(batch.ids), key)

    # Outside pmap there is no axis to average batch statistics over.
    model = make_model(tiny_config().model, canvas=28)

    def loss(params):
        logits, _ = model.apply(
            {"params": params, "batch_stats": state.batch_stats},
            images,
            train=True,
            mutable=["batch_stats"],
        )
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch.labels).mean()

    value, gradients = jax.jit(jax.value_and_grad(loss))(state.params)
    updates, _ = setup.optimizer.update(gradients, state.opt_state, state.params)
    chex.assert_trees_all_close(
        next_state.params, optax.apply_updates(state.params, updates), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(metrics["loss"][0], value, rtol=1e-5)
    np.testing.assert_allclose(metrics["gradient_norm"][0], optax.tree.norm(gradients), rtol=1e-4)


def test_the_identity_start_shows_in_theta(setup, run_up_to_three):
    initial = replicate(setup.initial_state(0))
    _, metrics = run_up_to_three(initial, batches(setup, 0, 3), np.int32(1))
    np.testing.assert_array_equal(metrics["transformer/theta/mean"][0], [1, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(metrics["transformer/theta/spread"][0], np.zeros(6))


def test_evaluation_counts_each_example_once(setup):
    run = parallel_eval(
        functools.partial(
            eval_step,
            model=setup.model,
            labels=setup.labels,
            preprocess=setup.data.preprocessing.test,
        )
    )
    state = replicate(setup.initial_state(0))
    sums = []
    for batch_size in (1000, 48):
        batches = evaluation_batches(setup.data.test, batch_size=batch_size)
        parts = [jax.device_get(run(state, batch)) for batch in batches]
        sums.append(jax.tree.map(lambda *leaves: sum(leaves), *parts))
    assert sums[0]["examples"] == sums[1]["examples"] == 1000
    assert sums[0]["wrong"] == sums[1]["wrong"]
    np.testing.assert_allclose(sums[0]["loss"], sums[1]["loss"], rtol=1e-5)


def test_thetas_are_found_at_any_depth():
    inner = {"first": {"theta": (jnp.ones((4, 2, 3)),)}, "theta": (jnp.zeros((4, 8)),), "grid": ()}
    found = thetas(inner)
    assert {path: value.shape for path, value in found.items()} == {
        "first/theta": (4, 6),
        "theta": (4, 8),
    }
