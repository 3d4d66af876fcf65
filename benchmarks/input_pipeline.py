"""Whether training waits for data: batches from the loader against one batch on the device.

Both ways train and record their metrics as a run does. Only the loader also reads, shuffles and
transfers batches. The data are prepared beforehand if necessary, and read from the page cache.
"""

import contextlib
import functools
import itertools
import tempfile
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from benchmarks import report, timing
from benchmarks.settings import Settings
from configs import quickstart, svhn_cnn
from stn_jax.experiments.data.loader import prefetch, training_batches
from stn_jax.experiments.training.optimizer import learning_rates
from stn_jax.experiments.training.parallel import parallel_train, replicate, shard_batch
from stn_jax.experiments.training.progress import Progress, StepRecorder
from stn_jax.experiments.training.setup import make_setup
from stn_jax.experiments.workdir.metrics import MetricLog

TITLE = "Input pipeline"


def measure(settings: Settings, earlier: dict) -> list[dict]:
    """Returns a record for each config and source of its batches."""
    del earlier
    if settings.short:
        config = quickstart.get_config()
        config.steps_per_dispatch = 2
        return _measure(settings, config, dispatches=2)
    return _measure(settings, quickstart.get_config(), dispatches=4) + _measure(
        settings, svhn_cnn.get_config("synthetic_small"), dispatches=10
    )


def _measure(settings: Settings, config: ConfigDict, *, dispatches: int) -> list[dict]:
    setup = make_setup(config)
    step = functools.partial(setup.train_step(), seed=config.seed)
    size = config.steps_per_dispatch

    def batches(begin: int, end: int):
        return shard_batch(
            training_batches(
                setup.data.train, begin, end, seed=config.seed, batch_size=config.batch_size
            )
        )

    resident = batches(0, size)
    train = parallel_train(step, size)
    state = replicate(setup.initial_state(config.seed))

    def run(stream, recorder):
        nonlocal state
        for begin, end, batch in itertools.islice(stream, dispatches):
            state, metrics = train(state, batch, np.int32(size))
            recorder.dispatched(begin, end, metrics)
        recorder.finish()
        return state

    starts = itertools.count(0, size)
    with contextlib.ExitStack() as stack:
        loaded = stack.enter_context(
            contextlib.closing(prefetch(batches, ((start, start + size) for start in starts)))
        )
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        log = stack.enter_context(MetricLog(Path(folder), start_step=0))
        progress = stack.enter_context(Progress(start_step=0, num_steps=setup.num_steps))
        recorder = StepRecorder(
            log,
            progress,
            batch_size=config.batch_size,
            log_every=config.log_every,
            learning_rate=learning_rates(config.optimizer, setup.num_steps),
        )
        runs = {
            "on the device": lambda: run(itertools.repeat((0, size, resident)), recorder),
            "from the loader": lambda: run(loaded, recorder),
        }
        times = timing.alternating(runs, repeats=settings.repeats, budget=4 * settings.budget)
    steps = dispatches * size
    records = []
    for record in timing.compared(times, "on the device"):
        record["seconds"] = [value / steps for value in record["seconds"]]
        records.append({"config": config.name, "batch": config.batch_size} | record)
    settings.say(f"{config.name}: loader / device {report.times(records[-1]['ratio'])}")
    return records


def markdown(records: list[dict]) -> str:
    """Returns a table with a row for each config."""
    rows = [
        [
            config,
            batch,
            report.milliseconds(who["on the device"]["seconds"]),
            report.milliseconds(who["from the loader"]["seconds"]),
            report.times(who["from the loader"]["ratio"]),
        ]
        for (config, batch), who in report.by(records, "config", "batch").items()
    ]
    head = ["config", "batch", "on the device, ms per step", "from the loader, ms per step"]
    return report.table([*head, "loader / device"], rows)
