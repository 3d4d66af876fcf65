"""Makes runs that were never trained from random arrays."""

from pathlib import Path

import numpy as np

from stn_jax.experiments.report.findings import Findings, Shown
from stn_jax.experiments.report.runs import Run
from stn_jax.experiments.street_numbers.labels import MAX_DIGITS, NO_DIGIT
from stn_jax.experiments.workdir.theta_history import ThetaHistory
from stn_jax.transforms import regular_grid
from tests.experiments.tiny import tiny_config
from tests.experiments.tiny_numbers import tiny_numbers_config

NUM_EXAMPLES = 12


def numbers(count: int, seed: int = 0) -> np.ndarray:
    """Returns labels [count, MAX_DIGITS] of numbers with one to three digits."""
    rng = np.random.default_rng(seed)
    digits = rng.integers(10, size=(count, MAX_DIGITS))
    lengths = rng.integers(1, 4, size=(count, 1))
    return np.where(np.arange(MAX_DIGITS) < lengths, digits, NO_DIGIT)


def findings(labels: np.ndarray, answers: np.ndarray, channels: tuple[int, ...]) -> Findings:
    """Returns findings about a network with one transformer per entry of `channels`.

    The entry is the number of channels of that transformer's inputs.
    """
    rng = np.random.default_rng(1)
    images = rng.uniform(size=(len(labels), 20, 20, (*channels, 1)[0]))
    maps = [rng.uniform(size=(len(labels), 20, 20, number)) for number in channels]
    grids = np.stack([regular_grid((20, 20))] * len(labels))
    losses = rng.uniform(size=len(labels))
    views = [(part, grids, part) for part in maps]
    shown = Shown(images, views, labels, answers, np.exp(-losses), losses)
    outputs = maps[0] if maps else None
    return Findings(labels, answers, losses, shown, shown, images, outputs)


def theta_history(found: Findings) -> ThetaHistory:
    """Returns a history with two records of each of the network's transformers, all affine."""
    shape = 2, len(found.labels), 6
    thetas = {str(place): np.ones(shape) for place, _ in enumerate(found.first.transformers)}
    return ThetaHistory(np.array([1, 300]), thetas, np.arange(len(found.labels)) % 4)


def digits_run(name: str = "run", variant: str = "st_cnn_affine,paper", **overrides) -> Run:
    """Returns a run of section 4.1 with a quarter of its answers wrong.

    `overrides` are those of `tiny_config`.
    """
    labels = np.arange(NUM_EXAMPLES) % 10
    answers = np.where(np.arange(NUM_EXAMPLES) % 4, labels, (labels + 1) % 10)
    channels = (1,) if variant.startswith("st_") else ()
    config = tiny_config(variant, model__features=(8, 8), **overrides)
    return _run(name, config, variant.split(",")[0], findings(labels, answers, channels))


def numbers_run(name: str = "numbers") -> Run:
    """Returns a run of section 4.2 with two transformers and the first number misread."""
    labels = numbers(NUM_EXAMPLES)
    answers = labels.copy()
    answers[0, 0] = (labels[0, 0] + 1) % 10
    config = tiny_numbers_config("multi", Path("unused"))
    return _run(name, config, "st_cnn_multi", findings(labels, answers, (3, 4)))


def _run(name: str, config, network: str, found: Findings) -> Run:
    records = [
        {"step": step, "loss": 2.0 / step, "error": 0.5, "train_seconds": 3.0 * step}
        for step in range(1, 301)
    ]
    records.append({"step": 300, "test_loss": 0.5, "test_error_percent": 0.0})
    return Run(
        name=name,
        config=config,
        records=records,
        result={"device": "1 x <cpu>"},
        theta_history=None if found.outputs is None else theta_history(found),
        network=network,
        dataset="some data",
        num_params=1234,
        step=300,
        num_steps=600,
        findings=found,
    )
