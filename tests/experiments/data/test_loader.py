import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.data import loader
from stn_jax.experiments.data.examples import Examples
from stn_jax.experiments.data.loader import (
    batch_order,
    check_batch_size,
    evaluation_batches,
    host_rows,
    prefetch,
    training_batches,
)

sizes = st.integers(1, 40)


def numbered_examples(count):
    numbers = np.arange(count)
    images = np.broadcast_to(numbers.astype(np.uint8)[:, None, None, None], (count, 28, 28, 1))
    return Examples(images, (numbers % 10).astype(np.int32))


def first_batches(seed, steps, **sizes):
    return np.concatenate([batch_order(seed, step, **sizes) for step in range(steps)])


@hypothesis.given(num_examples=sizes, batch_size=sizes, seed=st.integers(0, 2**31), passes=sizes)
def test_each_pass_covers_every_example_once(num_examples, batch_size, seed, passes):
    passes = min(passes, 4)
    steps = -(-passes * num_examples // batch_size)
    order = first_batches(seed, steps, batch_size=batch_size, num_examples=num_examples)
    assert order.dtype == np.int32
    for one_pass in order[: passes * num_examples].reshape(passes, num_examples):
        np.testing.assert_array_equal(np.sort(one_pass), np.arange(num_examples))


@hypothesis.given(steps=st.lists(st.integers(0, 10**6), min_size=1, max_size=5), num_examples=sizes)
def test_a_batch_is_a_function_of_seed_and_step_alone(steps, num_examples):
    options = dict(batch_size=7, num_examples=num_examples)
    first = [batch_order(1, step, **options) for step in steps]
    batch_order(2, 3, **options)  # earlier calls must not matter
    again = [batch_order(1, step, **options) for step in reversed(steps)]
    np.testing.assert_array_equal(first, again[::-1])


def test_the_order_does_not_depend_on_the_batch_size():
    orders = [first_batches(0, 60 // b, batch_size=b, num_examples=20) for b in (1, 5, 15, 60)]
    for order in orders[1:]:
        np.testing.assert_array_equal(order, orders[0])


def test_seeds_and_passes_differ():
    options = dict(batch_size=50, num_examples=50)
    orders = [batch_order(seed, step, **options) for seed in range(3) for step in range(3)]
    assert len(np.unique(orders, axis=0)) == 9
    assert not any(np.array_equal(order, np.arange(50)) for order in orders)


def test_the_order_is_this_very_one():
    """A run must be resumable by later versions of the library and of NumPy."""
    order = batch_order(0, 1, batch_size=8, num_examples=10)
    np.testing.assert_array_equal(order, [8, 1, 9, 1, 3, 8, 7, 6])


@hypothesis.given(
    hosts=st.integers(1, 4),
    devices=st.sampled_from([1, 2, 4]),
    per_device=st.integers(1, 3),
    steps=st.integers(1, 3),
)
def test_hosts_share_a_batch_in_order_whatever_the_devices(hosts, devices, per_device, steps):
    batch = hosts * 4 * per_device
    order = np.random.default_rng(0).permutation(steps * batch).reshape(steps, batch)
    shares = [
        host_rows(order, process_index=host, process_count=hosts, local_devices=devices)
        for host in range(hosts)
    ]
    for share in shares:
        assert share.shape == (devices, steps, batch // hosts // devices)
    assert len(np.unique(shares)) == steps * batch
    joined = np.concatenate([np.concatenate(list(share), axis=1) for share in shares], axis=1)
    np.testing.assert_array_equal(joined, order)


def pretend(monkeypatch, *, hosts=1, host=0, local_devices=1):
    monkeypatch.setattr(loader.jax, "process_count", lambda: hosts)
    monkeypatch.setattr(loader.jax, "process_index", lambda: host)
    monkeypatch.setattr(loader.jax, "local_device_count", lambda: local_devices)
    monkeypatch.setattr(loader.jax, "device_count", lambda: hosts * local_devices)


def test_training_batches_are_the_ordered_examples(monkeypatch):
    pretend(monkeypatch, local_devices=2)
    examples = numbered_examples(30)
    batch = training_batches(examples, 3, 6, seed=5, batch_size=8)
    assert batch.images.shape == (2, 3, 4, 28, 28, 1) and batch.images.dtype == np.uint8
    assert batch.labels.shape == batch.weights.shape == (2, 3, 4)
    assert np.all(batch.weights == 1)
    for place, step in enumerate(range(3, 6)):
        order = batch_order(5, step, batch_size=8, num_examples=30)
        np.testing.assert_array_equal(np.concatenate(list(batch.ids[:, place])), order)
    np.testing.assert_array_equal(batch.images[..., 0, 0, 0], batch.ids)
    np.testing.assert_array_equal(batch.labels, batch.ids % 10)


class OnlyThese:
    """An array of images that fails if any but the expected rows are read."""

    def __init__(self, images, rows):
        self.images, self.rows = images, rows

    def __getitem__(self, index):
        assert np.all(np.isin(index, self.rows))
        return self.images[index]


def test_each_host_reads_only_its_share(monkeypatch):
    examples = numbered_examples(20)
    order = batch_order(0, 2, batch_size=6, num_examples=20)
    for host in range(2):
        pretend(monkeypatch, hosts=2, host=host, local_devices=1)
        share = order[3 * host : 3 * host + 3]
        guarded = Examples(OnlyThese(examples.images, share), examples.labels)
        batch = training_batches(guarded, 2, 3, seed=0, batch_size=6)
        np.testing.assert_array_equal(batch.ids, share[None, None])


@hypothesis.given(
    num_examples=st.integers(1, 60),
    per_device=st.integers(1, 20),
    hosts=st.integers(1, 3),
    local_devices=st.integers(1, 3),
)
def test_evaluation_covers_each_example_once(num_examples, per_device, hosts, local_devices):
    batch_size = per_device * hosts * local_devices
    examples = numbered_examples(num_examples)
    shares = []
    with pytest.MonkeyPatch.context() as patch:
        for host in range(hosts):
            pretend(patch, hosts=hosts, host=host, local_devices=local_devices)
            batches = list(evaluation_batches(examples, batch_size=batch_size))
            assert len(batches) == -(-num_examples // batch_size)
            shares += batches
    ids, weights = [], []
    for share in shares:
        assert share.ids.shape == (local_devices, per_device)
        assert share.weights.dtype == np.float32
        np.testing.assert_array_equal(share.images[..., 0, 0, 0], share.ids)
        np.testing.assert_array_equal(share.labels, share.ids % 10)
        ids.append(share.ids.ravel())
        weights.append(share.weights.ravel())
    ids, weights = np.concatenate(ids), np.concatenate(weights)
    assert set(weights) <= {0, 1}
    np.testing.assert_array_equal(np.sort(ids[weights == 1]), np.arange(num_examples))


def test_evaluation_keeps_the_order_and_fills_up_at_the_end(monkeypatch):
    pretend(monkeypatch)
    batches = list(evaluation_batches(numbered_examples(10), batch_size=4))
    ids = np.concatenate([batch.ids.ravel() for batch in batches])
    weights = np.concatenate([batch.weights.ravel() for batch in batches])
    np.testing.assert_array_equal(ids[:10], np.arange(10))
    np.testing.assert_array_equal(weights, [1] * 10 + [0] * 2)


def test_prefetch_keeps_the_order_and_makes_one_batch_ahead():
    made = []

    def make(start, stop):
        made.append(start)
        return np.arange(start, stop)

    ranges = [(0, 3), (3, 4), (4, 9)]
    stream = prefetch(make, ranges)
    assert not made
    for place, (start, stop, batch) in enumerate(stream):
        assert (start, stop) == ranges[place]
        np.testing.assert_array_equal(batch, np.arange(start, stop))
        assert len(made) <= place + 2
    assert made == [0, 3, 4]
    assert list(prefetch(make, [])) == []


def test_what_goes_wrong_in_the_other_thread_is_told():
    def fail(start, stop):
        raise OSError(f"no batch {start}")

    with pytest.raises(OSError, match="no batch 2"):
        list(prefetch(fail, [(2, 3), (3, 4)]))


@pytest.mark.parametrize(
    ("batch_size", "nearest"), [(12, 16), (100, 96), (1, 8), (0, 8), (-8, 8), (7, 8)]
)
def test_a_batch_that_the_devices_do_not_divide_is_answered_with_one(
    batch_size, nearest, monkeypatch
):
    pretend(monkeypatch, hosts=2, local_devices=4)
    check_batch_size(nearest, "config.batch_size")
    message = (
        rf"config\.batch_size={batch_size} .* 8 devices: use a multiple of 8, such as {nearest}$"
    )
    with pytest.raises(UserError, match=message):
        check_batch_size(batch_size, "config.batch_size")
