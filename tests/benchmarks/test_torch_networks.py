"""The torch networks and their training steps are the same as ours."""

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from benchmarks import networks, steps
from benchmarks.checks import WrongResult

torch = pytest.importorskip("torch")

from benchmarks import torch_networks, torch_steps  # noqa: E402
from benchmarks.torch_device import to_torch  # noqa: E402

CONFIGS = {
    name: networks.section_4_1(name, "modern")
    for name in ("fcn", "cnn", "st_fcn_projective", "st_cnn_tps", "st_deep_cnn_affine")
}
CONFIGS["single"] = networks.section_4_2("single", 64, "modern")
for each in CONFIGS.values():
    networks.shrink(each)


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_agree_at_the_same_parameters(name):
    network = networks.make(CONFIGS[name])
    steps.check(name, network, network.initial_state())


def test_another_network_is_a_wrong_result(monkeypatch):
    network = networks.make(CONFIGS["fcn"])
    monkeypatch.setattr(torch_networks.F, "relu", torch_networks.F.leaky_relu)
    with pytest.raises(WrongResult, match="fcn: logits"):
        steps.check("fcn", network, network.initial_state())


def test_parameters_of_another_network_are_refused():
    fcn, cnn = (networks.make(CONFIGS[name]) for name in ("fcn", "cnn"))
    state = fcn.initial_state()
    theirs = torch_networks.make_network(cnn.config, cnn.input_shape)
    with pytest.raises(ValueError, match="not the same network"):
        torch_networks.load(theirs, {"params": state.params, "batch_stats": state.batch_stats})


@pytest.mark.parametrize(("name", "recipe"), [("single", "paper"), ("st_fcn_affine", "modern")])
def test_two_training_steps_lead_to_the_same_parameters(name, recipe):
    """This includes weight decay, momentum, batch statistics and the slower localisation."""
    if name == "single":
        config = networks.section_4_2(name, 64, recipe)
        config.model.dropout = 0.0  # each library draws its own masks
    else:
        config = networks.section_4_1(name, recipe)
        config.optimizer.schedule, config.optimizer.drops = "staircase", 0  # constant
    networks.shrink(config)
    config.optimizer.learning_rate = 1e-2
    network = networks.make(config)
    state = network.initial_state()
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: leaf + 0.02 * rng.normal(size=leaf.shape).astype(np.float32), state.params
    )
    state = state.replace(params=params)
    batch = networks.random_batch(network, 4)
    theirs = torch_networks.make_network(config, network.input_shape)
    torch_networks.load(theirs, {"params": state.params, "batch_stats": state.batch_stats})
    optimizer = torch_steps.make_optimizer(theirs, config.optimizer, 1e-2)
    images = to_torch(np.moveaxis(batch.images[0, 0], -1, 1))
    step = torch_steps.make_step(theirs, optimizer, images, to_torch(batch.labels[0, 0]).long())

    losses = [float(step()) for _ in range(2)]
    run = networks.make_step(network, state, batch, 1)
    ours = []
    for _ in range(2):
        state, metrics = run()
        ours.append(float(metrics["loss"][0]))
    np.testing.assert_allclose(ours, losses, rtol=1e-4)
    again = torch_networks.make_network(config, network.input_shape)
    torch_networks.load(again, {"params": state.params, "batch_stats": state.batch_stats})
    expected = theirs.state_dict()
    # Flax stores the biased variance of a batch, torch the unbiased one.
    skipped = ["num_batches_tracked", "running_var"]
    if config.model.batch_norm:
        # Before batch norm, a bias has no gradient but rounding errors, from which Adam makes whole
        # steps; they also move the mean.
        skipped += ["bias", "running_mean"]
    for key, value in again.state_dict().items():
        if not key.endswith(tuple(skipped)):
            close = torch.isclose(value, expected[key], rtol=2e-4, atol=2e-4)
            assert close.float().mean() >= 0.999, key


def test_shrunk_networks_are_small():
    for config in CONFIGS.values():
        state = jax.eval_shape(networks.make(config).initial_state)
        assert sum(leaf.size for leaf in flatten_dict(state.params).values()) < 100_000
