import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stn_jax.experiments.training.optimizer import is_localisation, make_optimizer, make_schedule
from tests.experiments.tiny import tiny_config


def optimizer_config(**overrides):
    config = tiny_config().optimizer
    config.update(overrides)
    return config


CONSTANT = {"schedule": "staircase", "drops": 0}
PARAMS = {
    "transformer": {
        "localisation": {"Dense_0": {"kernel": jnp.array([[1.0, -2.0]]), "bias": jnp.ones(2)}}
    },
    "classifier": {"Dense_0": {"kernel": jnp.array([[1.0, -2.0]])}},
}


def updates(config, gradient_of, num_steps=100, taken=1):
    optimizer = make_optimizer(config, num_steps)
    params, state, update = PARAMS, optimizer.init(PARAMS), None
    for _ in range(taken):
        update, state = optimizer.update(gradient_of(params), state, params)
        params = optax.apply_updates(params, update)
    return update


def test_the_papers_schedule_divides_by_ten_after_each_third():
    schedule = make_schedule(
        optimizer_config(schedule="staircase", learning_rate=0.01), num_steps=150_000
    )
    rates = [schedule(step) for step in (0, 49_999, 50_000, 99_999, 100_000, 149_999)]
    np.testing.assert_allclose(rates, [1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4], rtol=1e-5)


def test_the_street_numbers_schedule_divides_by_ten_four_times():
    schedule = make_schedule(
        optimizer_config(schedule="staircase", learning_rate=0.01, drops=4), num_steps=400_000
    )
    steps = (79_999, 80_000, 160_000, 240_000, 319_999, 320_000, 399_999)
    rates = [schedule(step) for step in steps]
    np.testing.assert_allclose(rates, [1e-2, 1e-3, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6], rtol=1e-5)


def test_one_cycle_ends_near_zero_and_never_passes_the_given_rate():
    config = optimizer_config(schedule="one_cycle", learning_rate=0.1)
    schedule = make_schedule(config, num_steps=200)
    rates = np.array([schedule(step) for step in range(201)])
    assert rates.max() == pytest.approx(0.1, rel=1e-3)
    assert rates[-1] < 1e-4
    after_peak = rates[rates.argmax() :]
    assert (np.diff(after_peak) <= 0).all()


@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("multiplier", [0.0, 0.1, 1.0])
def test_localisation_learns_at_its_own_rate(name, multiplier):
    config = optimizer_config(
        name=name, momentum=0.9, localisation_multiplier=multiplier, **CONSTANT
    )
    update = updates(config, lambda params: params, taken=1)
    slow = update["transformer"]["localisation"]["Dense_0"]["kernel"]
    fast = update["classifier"]["Dense_0"]["kernel"]
    assert jnp.all(fast != 0)
    np.testing.assert_allclose(slow, multiplier * fast, rtol=1e-6)


def test_sgd_is_the_gradient_times_the_rate():
    config = optimizer_config(name="sgd", **CONSTANT, learning_rate=0.5)
    update = updates(config, lambda params: jax.tree.map(lambda x: 3 * x, params))
    np.testing.assert_allclose(update["classifier"]["Dense_0"]["kernel"], [[-1.5, 3.0]], rtol=1e-6)


def test_momentum_adds_up_past_gradients():
    config = optimizer_config(name="sgd", momentum=0.5, **CONSTANT, learning_rate=1.0)
    update = updates(config, lambda params: jax.tree.map(jnp.ones_like, params), taken=3)
    np.testing.assert_allclose(update["classifier"]["Dense_0"]["kernel"], -1.75, rtol=1e-6)


def test_weight_decay_pulls_weights_but_not_biases_towards_zero():
    config = optimizer_config(name="sgd", **CONSTANT, learning_rate=1.0, weight_decay=0.25)
    update = updates(config, lambda params: jax.tree.map(jnp.zeros_like, params))
    np.testing.assert_allclose(update["classifier"]["Dense_0"]["kernel"], [[-0.25, 0.5]], rtol=1e-6)
    assert not np.any(update["transformer"]["localisation"]["Dense_0"]["bias"])


def test_is_localisation_marks_what_is_below_a_module_of_that_name():
    assert is_localisation(PARAMS) == {
        "transformer": {"localisation": {"Dense_0": {"kernel": True, "bias": True}}},
        "classifier": {"Dense_0": {"kernel": False}},
    }
