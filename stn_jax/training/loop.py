"""Training from a config into a workdir, to its end or to where it is stopped."""

import functools
import json
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from stn_jax.data.examples import Batch, label_text
from stn_jax.data.loader import check_batch_size, one_ahead, training_batches
from stn_jax.files import write_atomically
from stn_jax.training.checkpoints import Checkpoints, restore_newest
from stn_jax.training.evaluation import Evaluation, make_evaluate, transform
from stn_jax.training.experiment import Experiment, make_experiment
from stn_jax.training.logs import MetricLog, Progress, StepRecorder
from stn_jax.training.parallel import parallel_train, put, replicate
from stn_jax.training.prediction import most_probable
from stn_jax.training.steps import TrainState, train_step
from stn_jax.visualization import draw_samples
from stn_jax.workdir import claim_workdir

NUM_SAMPLES = 16
SECONDS_BETWEEN_PICTURES = 60.0


def train_and_evaluate(config: ConfigDict, workdir: Path) -> dict | None:
    """Trains, or goes on training where the run in `workdir` was, and evaluates at the end.

    Args:
        config: as `configs/` makes it.
        workdir: gets `config.json`, `metrics.jsonl`, TensorBoard events, `checkpoints/`,
            `result.json` and `figures/samples.png`.

    Returns:
        What `result.json` holds, or None if SIGTERM stopped the run before its end.

    Raises:
        UserError: the config or the workdir cannot be used.
        TrainingDivergedError: a loss was not finite; the checkpoints before it are kept.
    """
    check_batch_size(config.batch_size, "config.batch_size")
    with _sigterm_calls(_exit):  # data may be half made: what cleans them up must run
        experiment = make_experiment(config)
    stop_asked = threading.Event()
    with _sigterm_calls(stop_asked.set):
        claim_workdir(workdir, config)
        state = _initial_or_saved_state(config, experiment, workdir / "checkpoints")
        start = int(state.step)
        with (
            Checkpoints(workdir / "checkpoints", keep_newest=config.keep_checkpoints) as saver,
            MetricLog(workdir, start_step=start) as log,
            Progress(start_step=start, num_steps=experiment.num_steps) as progress,
        ):
            if start:
                progress.line(f"going on at step {start} of {experiment.num_steps}")
            recorder = StepRecorder(
                log, progress, batch_size=config.batch_size, log_every=config.log_every
            )
            draw = functools.partial(_draw_samples, workdir / "figures" / "samples.png", experiment)
            state, evaluation = _train(config, experiment, state, saver, recorder, draw, stop_asked)
        if evaluation is None:
            print(f"stopped at step {int(state.step)}: the same command goes on from there")
            return None
        result = _describe(config, experiment, state, evaluation, recorder)
        draw(state)
        write_atomically(workdir / "result.json", json.dumps(result, indent=2) + "\n")
        return result


def _describe(
    config: ConfigDict,
    experiment: Experiment,
    state: TrainState,
    evaluation: Evaluation,
    recorder: StepRecorder,
) -> dict:
    """What `result.json` holds."""
    examples = int(state.step) * config.batch_size
    return {
        "test_error_percent": evaluation.error_percent,
        **{f"test_{name}": value for name, value in evaluation.details.items()},
        "test_loss": evaluation.loss,
        "num_params": sum(leaf.size for leaf in jax.tree.leaves(state.params)),
        "steps": int(state.step),
        "epochs": examples / len(experiment.data.train.labels),
        "examples_per_second": examples / recorder.train_seconds,
        "train_seconds": recorder.train_seconds,
        "dataset": experiment.data.name,
        "model": experiment.model_name,
        "seed": config.seed,
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("jax", "flax", "optax", "numpy")},
        },
    }


def _train(
    config: ConfigDict,
    experiment: Experiment,
    state: TrainState,
    checkpoints: Checkpoints,
    recorder: StepRecorder,
    draw: Callable[[TrainState], None],
    stop_asked: threading.Event,
) -> tuple[TrainState, Evaluation | None]:
    """The loop itself; gives no evaluation if it was asked to stop before its end."""
    train_steps = parallel_train(
        functools.partial(
            train_step,
            model=experiment.model,
            optimizer=experiment.optimizer,
            preprocess=experiment.data.preprocessing.train,
            seed=config.seed,
        ),
        config.steps_per_dispatch,
    )
    evaluate = make_evaluate(experiment, config.eval_batch_size)

    def batches(begin: int, end: int) -> Batch:
        some = training_batches(
            experiment.data.train, begin, end, seed=config.seed, batch_size=config.batch_size
        )
        return put(_filled(some, config.steps_per_dispatch))

    step = saved_step = int(state.step)
    evaluation = None
    drawn = time.monotonic()
    if step < experiment.num_steps:
        started = time.perf_counter()
        train = train_steps.lower(state, batches(step, step + 1), np.int32(1)).compile()
        recorder.compiled(time.perf_counter() - started)
    dispatches = _dispatches(experiment, step, config.steps_per_dispatch)
    with closing(one_ahead(batches, dispatches)) as stream:
        for step, end, batch in stream:
            if stop_asked.is_set():
                recorder.finish()
                if step > saved_step:
                    checkpoints.save(state)
                return state, None
            state, metrics = train(state, batch, np.int32(end - step))
            recorder.dispatched(step, end, metrics)
            if end % experiment.eval_every == 0 or end == experiment.num_steps:
                recorder.finish()
                evaluation = evaluate(state)
                recorder.evaluated(end, evaluation)
                checkpoints.save(state, evaluation.error_percent)
                saved_step = end
                if time.monotonic() - drawn > SECONDS_BETWEEN_PICTURES:
                    draw(state)
                    drawn = time.monotonic()
    return state, evaluation or evaluate(state)


def _dispatches(experiment: Experiment, start: int, longest: int) -> Iterator[tuple[int, int]]:
    """Ranges of steps from `start` to the end; one ends wherever an evaluation is due."""
    while start < experiment.num_steps:
        next_evaluation = (start // experiment.eval_every + 1) * experiment.eval_every
        end = min(start + longest, next_evaluation, experiment.num_steps)
        yield start, end
        start = end


def _initial_or_saved_state(
    config: ConfigDict, experiment: Experiment, directory: Path
) -> TrainState:
    """The state to go on from, on all devices; broken checkpoints are moved out of the way."""
    initial = experiment.initial_state(config.seed)
    saved, broken = restore_newest(directory, initial)
    for path in broken:
        aside = directory.with_name("broken_checkpoints") / f"{path.name}-{time.time_ns()}"
        aside.parent.mkdir(exist_ok=True)
        path.rename(aside)
    return replicate(saved or initial)


def _filled(batches: Batch, steps: int) -> Batch:
    """Fills the step axis [devices, N, ...] up to `steps`: every dispatch has one shape."""

    def fill(leaf: np.ndarray) -> np.ndarray:
        missing = steps - leaf.shape[1]
        return np.pad(leaf, ((0, 0), (0, missing)) + ((0, 0),) * (leaf.ndim - 2))

    return jax.tree.map(fill, batches)


@contextmanager
def _sigterm_calls(function: Callable[[], None]) -> Iterator[None]:
    """SIGTERM calls `function`, in place of ending the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, lambda *_: function())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _exit() -> None:
    raise SystemExit(128 + signal.SIGTERM)


def _draw_samples(path: Path, experiment: Experiment, state: TrainState) -> None:
    test = experiment.data.test
    count = min(NUM_SAMPLES, len(test.labels))
    images = experiment.data.preprocessing.test(jnp.asarray(test.images[:count]), jnp.arange(count))
    result = jax.device_get(transform(experiment.model, jax.device_get(state), images))
    if len(result.transformers) > 1:  # half as many examples, of which each takes more room
        images, result = jax.tree.map(lambda leaf: leaf[: NUM_SAMPLES // 2], (images, result))
    answers, probabilities = most_probable(result.probabilities)
    draw_samples(
        path,
        np.asarray(images),
        [(view.inputs, view.grid, view.outputs) for view in result.transformers.values()],
        answers=[label_text(answer) for answer in answers],
        labels=[label_text(label) for label in test.labels[: len(images)]],
        probabilities=probabilities,
    )
