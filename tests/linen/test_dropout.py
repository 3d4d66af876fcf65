import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.errors import UserError
from stn_jax.linen import Dropout

KEY = {"dropout": jax.random.key(3)}
ONES = jnp.ones((8, 5, 40, 3))


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_a_share_is_dropped_and_the_mean_stays(rate):
    dropped = Dropout(rate).apply({}, ONES, True, rngs=KEY)
    np.testing.assert_allclose(np.unique(dropped), [0, 1 / (1 - rate)], rtol=1e-6)
    assert np.mean(dropped == 0) == pytest.approx(rate, abs=0.03)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16, jnp.bfloat16])
@pytest.mark.parametrize("rate", [0, 0.0, 0.5, 1, 1.0, np.float32(0.3), np.float32(1)])
def test_values_and_gradients_are_finite_and_keep_their_dtype(rate, dtype):
    def drop(x):
        return Dropout(rate).apply({}, x, True, rngs=KEY)

    x = jnp.arange(24.0, dtype=dtype).reshape(4, 6)
    outputs, back = jax.vjp(drop, x)
    (gradient,) = back(jnp.ones_like(outputs))
    assert outputs.dtype == gradient.dtype == dtype
    assert np.all(np.isfinite(outputs)) and np.all(np.isfinite(gradient))
    assert np.any(outputs) == np.any(gradient) == (rate < 1)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan"), float("inf")])
def test_rates_outside_0_to_1_are_refused(rate, train):
    with pytest.raises(UserError, match="from 0 to 1, got"):
        Dropout(rate).apply({}, ONES, train, rngs=KEY)


def test_nothing_is_dropped_outside_of_training_or_at_rate_0():
    chex.assert_trees_all_equal(Dropout(0.5).apply({}, ONES, False), ONES)
    chex.assert_trees_all_equal(Dropout(0.0).apply({}, ONES, True), ONES)


def test_each_example_and_each_key_has_its_own_mask():
    masks = Dropout(0.5).apply({}, ONES, True, rngs=KEY).reshape(8, -1)
    assert len(np.unique(masks, axis=0)) == 8
    other = Dropout(0.5).apply({}, ONES, True, rngs={"dropout": jax.random.key(4)}).reshape(8, -1)
    assert np.all(np.any(other != masks, axis=1))


@pytest.mark.parametrize("devices", [2, 4, 8])
def test_the_masks_do_not_depend_on_the_number_of_devices(devices):
    def drop(x):
        return Dropout(0.5, axis_name="devices").apply({}, x, True, rngs=KEY)

    def on_devices(count):
        parts = ONES.reshape(count, -1, *ONES.shape[1:])
        return jax.vmap(drop, axis_name="devices")(parts).reshape(ONES.shape)

    chex.assert_trees_all_equal(on_devices(devices), on_devices(1))
    # Without an axis name, the whole batch is on one device.
    chex.assert_trees_all_equal(on_devices(1), Dropout(0.5).apply({}, ONES, True, rngs=KEY))


def test_the_gradient_passes_where_the_value_does():
    slope = jax.grad(lambda x: Dropout(0.5).apply({}, x, True, rngs=KEY).sum())(ONES)
    chex.assert_trees_all_equal(slope, Dropout(0.5).apply({}, ONES, True, rngs=KEY))
