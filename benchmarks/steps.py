"""Whole training steps of the networks of sections 4.1 and 4.2, against the same in torch.

A step is the forward pass, the backward pass and the optimiser's update, in float32, on random
images that are already preprocessed, with the config's batch norm, dropout and optimiser. Our step
also computes the metrics that a run records. One dispatch takes as many of our steps as in a run,
up to `STEPS_PER_DISPATCH`.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from benchmarks import networks, report, timing
from benchmarks.checks import check_agreement
from benchmarks.networks import Network
from benchmarks.peers import have
from benchmarks.settings import Settings
from stn_jax.experiments.data.examples import Batch
from stn_jax.experiments.training.optimizer import make_schedule
from stn_jax.experiments.training.steps import TrainState

TITLE = "Training steps"
PLAIN = {"single": "cnn", "multi": "cnn"}
"""The same network without the transformers.

Section 4.1 has none: there the plain networks have other widths and larger images.
"""
STEPS_PER_DISPATCH = {"fcn": 50, "cnn": 2}
"""By classifier: convolutions take so long that more steps per dispatch save no time."""


class Group(NamedTuple):
    """A group of networks that are timed in turn."""

    title: str
    batch_size: int
    configs: dict[str, ConfigDict]


def groups(settings: Settings) -> list[Group]:
    """Returns the networks of section 4.1 in two groups, and those of section 4.2 by image size.

    Fully connected networks are a separate group, so that they do not wait for convolutional ones.
    """
    recipe, short = settings.recipe, settings.short
    if short:
        rts = {name: networks.section_4_1(name, recipe) for name in ("st_fcn_affine",)}
        numbers = {"multi": networks.section_4_2("multi", 64, recipe)}
        for config in (*rts.values(), *numbers.values()):
            networks.shrink(config)
        return [Group("4.1", 4, rts), Group("4.2", 4, numbers)]
    made = [
        Group(
            f"4.1, {title}",
            256,  # the paper's
            {name: networks.section_4_1(name, recipe) for name in names},
        )
        for title, names in (
            ("fully connected", ("fcn", "st_fcn_affine")),
            ("convolutional", ("cnn", "st_cnn_affine")),
        )
    ]
    for size, batch_size in ((64, 128), (128, 16)):  # the paper's is 128 for both
        names = ("cnn", "single", "multi")
        configs = {name: networks.section_4_2(name, size, recipe) for name in names}
        made.append(Group(f"4.2, {size} px", batch_size, configs))
    return made[1:3] if settings.device else made


def measure(settings: Settings, earlier: dict) -> list[dict]:
    """Returns a record for each network and library."""
    del earlier
    return [record for group in groups(settings) for record in _measure(settings, group)]


def _measure(settings: Settings, group: Group) -> Iterator[dict]:
    runs: dict[str, Callable] = {}
    steps = {}
    for name, config in group.configs.items():
        network = networks.make(config)
        steps[name] = 2 if settings.short else _steps(config)
        state = network.initial_state()
        batch = networks.random_batch(network, group.batch_size, steps[name])
        runs[f"{name} ours"] = networks.make_step(network, state, batch, steps[name])
        if have("torch"):
            check(f"{group.title}, {name}", network, state)
            runs[f"{name} torch"] = _torch_steps(network, state, batch, steps[name])
            if settings.compile_steps:
                compiled = _torch_steps(network, state, batch, steps[name], compiled=True)
                runs[f"{name} torch.compile"] = compiled
    times = timing.alternating(runs, repeats=settings.repeats, budget=4 * settings.budget)
    for run, seconds in times.items():
        name, who = run.split()
        record: dict = {
            "group": group.title,
            "batch": group.batch_size,
            "network": name,
            "who": who,
            "seconds": timing.quartiles(seconds / steps[name]),
            "ratio": timing.quartiles(seconds / times[f"{name} ours"]),
            "repeats": len(seconds),
        }
        plain = PLAIN.get(name)
        if plain in steps:
            each = seconds / steps[name], times[f"{plain} {who}"] / steps[plain]
            record["to plain"] = timing.quartiles(each[0] / each[1])
        settings.say(f"{group.title}, {run}: {report.milliseconds(record['seconds'])} ms")
        yield record


def check(what: str, network: Network, state: TrainState) -> None:
    """Compares our logits with torch's at the same parameters, which are near those of `state`.

    Raises:
        WrongResult: the logits differ by more than a thousandth of the largest one.
    """
    from benchmarks import torch_device, torch_networks

    variables = networks.variables_off_identity(state)
    images = np.random.default_rng(1).normal(size=(2, *network.input_shape)).astype(np.float32)
    theirs = torch_networks.make_network(network.config, network.input_shape)
    theirs.eval().to(torch_device.device())
    torch_networks.load(theirs, variables)
    with torch_device.full_precision():
        ours = jax.jit(network.model.apply)(variables, jnp.asarray(images))
        logits = theirs(torch_device.to_torch(np.moveaxis(images, -1, 1)))
    result = {"logits": logits.detach().cpu().numpy()}
    check_agreement(what, {"logits": np.asarray(ours)}, result, {"logits": 1e-3})


def _torch_steps(
    network: Network, state: TrainState, batch: Batch, steps: int, *, compiled: bool = False
) -> Callable:
    from benchmarks import torch_device, torch_networks, torch_steps

    config = network.config
    theirs = torch_networks.make_network(config, network.input_shape).to(torch_device.device())
    torch_networks.load(theirs, {"params": state.params, "batch_stats": state.batch_stats})
    rate = float(make_schedule(config.optimizer, networks.NUM_STEPS)(0))
    images, labels = (
        np.concatenate(array[:, 0]) for array in (batch.images, batch.labels.astype(np.int64))
    )
    step = torch_steps.make_step(
        theirs,
        torch_steps.make_optimizer(theirs, config.optimizer, rate),
        torch_device.to_torch(np.moveaxis(images, -1, 1)),
        torch_device.to_torch(labels),
        compiled=compiled,
    )
    return lambda: [step() for _ in range(steps)]


def _steps(config: ConfigDict) -> int:
    if config.task == "street_numbers":
        return config.steps_per_dispatch
    return min(STEPS_PER_DISPATCH[config.model.classifier], config.steps_per_dispatch)


def markdown(records: list[dict]) -> str:
    """Returns two tables: our times against torch's, and what the transformers cost."""
    rows, costs = [], []
    peers = [who for who in dict.fromkeys(record["who"] for record in records) if who != "ours"]
    for (group, network), who in report.by(records, "group", "network").items():
        ours = who["ours"]
        names = [f"{group}: {network}", ours["batch"]]
        theirs = [
            text
            for peer in peers
            for text in (
                report.milliseconds(who[peer]["seconds"]),
                report.times(who[peer]["ratio"]),
            )
        ]
        rows.append([*names, report.milliseconds(ours["seconds"]), *theirs])
        if "to plain" in ours:
            ratios = [who[one]["to plain"] for one in ("ours", *peers)]
            costs.append([*names, *map(report.times, ratios)])
    heads = [head for peer in peers for head in (f"{peer}, ms", f"{peer} / ours")]
    texts = [report.table(["network", "batch", "ours, ms per step", *heads], rows)]
    if costs:
        texts += [
            "### What the transformers cost",
            "Ratio to the time without transformers; the paper reports 1.06 for Multi.",
            report.table(["network", "batch", "ours", *peers], costs),
        ]
    return "\n\n".join(texts)
