"""Whether a batch ever waits for data: training fed by the loader against one batch on the device.

Command: python -m benchmarks.input_pipeline [--config=configs/svhn_cnn.py:synthetic_small]

Both train and record their metrics as a run does; one also reads, shuffles and sends its batches.
The data are prepared first, if they are not yet; at the second repeat they are in the page cache.
"""

import contextlib
import functools
import itertools
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags
from ml_collections import config_flags

from benchmarks.timing import alternating, machine, ratio
from stn_jax.data.loader import one_ahead, training_batches
from stn_jax.training.experiment import make_experiment
from stn_jax.training.logs import MetricLog, Progress, StepRecorder
from stn_jax.training.parallel import parallel_train, put, replicate
from stn_jax.training.steps import train_step

_CONFIG = config_flags.DEFINE_config_file("config", "configs/svhn_cnn.py:synthetic_small")
_DISPATCHES = flags.DEFINE_integer("dispatches", 40, "Dispatches in a repeat.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Repeats of each.")


def main(_) -> None:
    config = _CONFIG.value
    experiment = make_experiment(config)
    step = functools.partial(
        train_step,
        model=experiment.model,
        optimizer=experiment.optimizer,
        preprocess=experiment.data.preprocessing.train,
        seed=config.seed,
    )
    size = config.steps_per_dispatch

    def batches(begin: int, end: int):
        return put(
            training_batches(
                experiment.data.train, begin, end, seed=config.seed, batch_size=config.batch_size
            )
        )

    state = replicate(experiment.initial_state(config.seed))
    resident = batches(0, size)
    train = parallel_train(step, size).lower(state, resident, np.int32(size)).compile()

    def run(stream, recorder):
        last = replicate(state)  # a step takes over the memory of its state
        for begin, end, batch in itertools.islice(stream, _DISPATCHES.value):
            last, metrics = train(last, batch, np.int32(size))
            recorder.dispatched(begin, end, metrics)
        recorder.finish()
        return last

    starts = itertools.count(0, size)
    stream = one_ahead(batches, ((start, start + size) for start in starts))
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        log = stack.enter_context(MetricLog(Path(folder), start_step=0))
        progress = stack.enter_context(Progress(start_step=0, num_steps=experiment.num_steps))
        recorder = StepRecorder(
            log, progress, batch_size=config.batch_size, log_every=config.log_every
        )
        runs = {
            "on the device": lambda: run(itertools.repeat((0, size, resident)), recorder),
            "from the loader": lambda: run(stream, recorder),
        }
        times = alternating(runs, repeats=_REPEATS.value)
    examples = _DISPATCHES.value * size * config.batch_size
    print(f"{machine()}, {config.name}, batch {config.batch_size}")
    for name, seconds in times.items():
        print(
            f"{name}: {examples / np.median(seconds):.0f} examples/s, time "
            f"{ratio(seconds, times['on the device'])} of that with a batch on the device"
        )


if __name__ == "__main__":
    app.run(main)
