import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.linen import Dropout

KEY = {"dropout": jax.random.key(3)}
ONES = jnp.ones((8, 5, 40, 3))


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_a_share_is_dropped_and_the_mean_stays(rate):
    dropped = Dropout(rate).apply({}, ONES, True, rngs=KEY)
    np.testing.assert_allclose(np.unique(dropped), [0, 1 / (1 - rate)], rtol=1e-6)
    assert np.mean(dropped == 0) == pytest.approx(rate, abs=0.03)


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
