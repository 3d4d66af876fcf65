"""Tests that each of many seeds in one program ends as it would have ended alone."""

import chex
import jax
import numpy as np

from stn_jax.experiments.training.loop import run
from stn_jax.experiments.training.program import make_program
from stn_jax.experiments.training.setup import make_setup
from tests.experiments.tiny import read_metrics, tiny_config
from tests.experiments.tiny_numbers import tiny_numbers_config

SEEDS = (3, 4_000_000_000)


def train(config, workdir, seeds=None):
    setup = make_setup(config)
    program = make_program(config, setup, seeds or [config.seed])
    return run(config, setup, program, workdir), read_metrics(workdir)


def assert_each_is_as_alone(make_config, tmp_path):
    together, logged = train(make_config(), tmp_path / "together", SEEDS)
    assert logged
    for place, seed in enumerate(SEEDS):
        alone, logged_alone = train(make_config(seed=seed), tmp_path / str(seed))
        many, one = jax.device_get((together.state, alone.state))
        assert many.step == one.step
        for name in ("params", "batch_stats"):
            mine = jax.tree.map(lambda leaf, i=place: leaf[i], getattr(many, name))
            chex.assert_trees_all_close(mine, getattr(one, name), rtol=2e-3, atol=2e-4)
        np.testing.assert_allclose(
            together.evaluation.loss[place], alone.evaluation.loss, rtol=1e-3
        )
        assert len(logged) == len(logged_alone)
        for many, one in zip(logged, logged_alone, strict=True):
            assert many["step"] == one["step"]
            for name in ("loss", "gradient_norm", "test_loss", "transformer/theta/mean"):
                assert (name in many) == (name in one)
                if name in one:
                    np.testing.assert_allclose(many[name][place], one[name], rtol=1e-3, atol=1e-4)


# Not Adam: it divides by the gradient's size, which amplifies rounding differences.
SGD = {"optimizer__name": "sgd", "optimizer__learning_rate": 2e-3}


def test_digits_with_batch_normalisation_are_as_alone(tmp_path):
    def make_config(**seed):
        widths = {"model__features": (4, 6)}
        return tiny_config("st_cnn_affine", "rts", num_epochs=2.0, **widths, **SGD, **seed)

    assert_each_is_as_alone(make_config, tmp_path)


def test_street_numbers_with_dropout_are_as_alone(tmp_path):
    def make_config(**seed):
        return tiny_numbers_config("single", tmp_path / "data", **SGD, **seed)

    assert_each_is_as_alone(make_config, tmp_path)


def test_seeds_differ(tmp_path):
    together, logged = train(tiny_config("fcn", num_epochs=1.0), tmp_path, SEEDS)
    kernels = together.state.params["Dense_0"]["kernel"]
    assert kernels.shape[0] == len(SEEDS)
    assert len({float(kernel[0, 0]) for kernel in kernels}) == len(SEEDS)
    assert len(set(logged[0]["loss"])) == len(SEEDS)
