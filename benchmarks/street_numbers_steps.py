"""What the transformers cost: steps of section 4.2's networks, full width, against the plain CNN.

Command: python -m benchmarks.street_numbers_steps [--sizes=64,128] [--batch_size=16] [--repeats=7]

The paper's figure: ST-CNN Multi is 6% slower than the CNN, forward and backward.
"""

import functools

import jax
import numpy as np
from absl import app, flags

from benchmarks.timing import alternating, machine, ratio
from configs.street_numbers import make_config
from stn_jax.data.examples import Batch
from stn_jax.data.street_numbers.preprocessing import make_preprocessing
from stn_jax.models.street_numbers import NETWORKS
from stn_jax.tasks import find_task
from stn_jax.training.optimizer import make_optimizer
from stn_jax.training.parallel import parallel_eval, parallel_train, put, replicate
from stn_jax.training.steps import DEVICES, create_state, eval_step, train_step

_SIZES = flags.DEFINE_list("sizes", ["64", "128"], "Image sizes in pixels.")
_NETWORKS = flags.DEFINE_list("networks", list(NETWORKS), "Networks; the first is the reference.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Images in a batch.")
_REPEATS = flags.DEFINE_integer("repeats", 7, "Repeats of each step.")
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Of the arithmetic.")
_RECIPE = flags.DEFINE_enum("recipe", "paper", ["paper", "modern"], "With or without batch norm.")


def main(_) -> None:
    print(f"{machine()}, batch {_BATCH_SIZE.value}, {_DTYPE.value}, {_RECIPE.value}")
    for size in _SIZES.value:
        train, evaluate = {}, {}
        for network in _NETWORKS.value:
            train[network], evaluate[network], num_params = _steps(network, size)
            print(f"{size} px {network}: {num_params} parameters", flush=True)
        for what, runs in (("training", train), ("evaluation", evaluate)):
            times = alternating(runs, repeats=_REPEATS.value)
            reference = times[_NETWORKS.value[0]]
            for network, seconds in times.items():
                print(
                    f"{size} px {network}: {what} step {1000 * np.median(seconds):.0f} ms, "
                    f"{ratio(seconds, reference)} of {_NETWORKS.value[0]}'s",
                    flush=True,
                )


def _steps(network: str, size: str):
    """A training step, an evaluation step and the number of parameters."""
    config = make_config(network, f"{size},{_RECIPE.value}")
    config.model.dtype = _DTYPE.value
    task = find_task(config)
    model = task.make_network(config, axis_name=DEVICES)
    optimizer = make_optimizer(config.optimizer, num_steps=1000)
    preprocessing = make_preprocessing(config.data)
    state = replicate(create_state(model, optimizer, 0, task.input_shape(config)))
    options = {"model": model, "optimizer": optimizer, "seed": 0}
    step = functools.partial(train_step, preprocess=preprocessing.train, **options)
    evaluation = functools.partial(eval_step, model=model, preprocess=preprocessing.test)
    batch = _batch(config.data.size)
    train = parallel_train(step, 1).lower(state, batch, np.int32(1)).compile()
    one = put(jax.tree.map(lambda leaf: np.asarray(leaf)[:, 0], batch))
    evaluate = parallel_eval(evaluation).lower(state, one).compile()
    num_params = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    running = [replicate(state)]

    def next_step():
        running[0], metrics = train(running[0], batch, np.int32(1))
        return metrics

    return next_step, lambda: evaluate(state, one), num_params


def _batch(size: int) -> Batch:
    """Random pixels and labels: [local devices, 1 step, ...]."""
    rng = np.random.default_rng(0)
    devices = jax.local_device_count()
    lead = (devices, 1, _BATCH_SIZE.value // devices)
    return put(
        Batch(
            images=rng.integers(0, 256, (*lead, size, size, 3)).astype(np.uint8),
            labels=rng.integers(0, 11, (*lead, 5)).astype(np.int32),
            ids=np.arange(np.prod(lead), dtype=np.int32).reshape(lead),
            weights=np.ones(lead, np.float32),
        )
    )


if __name__ == "__main__":
    app.run(main)
