"""Trains a config in a workdir, until the run ends or is stopped."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from stn_jax.errors import UserError
from stn_jax.experiments.config_check import check_config
from stn_jax.experiments.data.examples import Data
from stn_jax.experiments.data.loader import check_batch_size, prefetch
from stn_jax.experiments.locks import locked
from stn_jax.experiments.stopping import stop_on_signals
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.training import hosts
from stn_jax.experiments.training.checkpoints import Checkpoints, restore_newest
from stn_jax.experiments.training.environment import (
    environment,
    must_be_the_same,
    note_environment,
)
from stn_jax.experiments.training.evaluation import Evaluation
from stn_jax.experiments.training.hooks import Hook, MakeHook
from stn_jax.experiments.training.memory import compile_within_memory
from stn_jax.experiments.training.optimizer import learning_rates
from stn_jax.experiments.training.parallel import replicate
from stn_jax.experiments.training.program import Program, make_program
from stn_jax.experiments.training.progress import Progress, StepRecorder
from stn_jax.experiments.training.setup import Setup, make_setup
from stn_jax.experiments.training.steps import TrainState
from stn_jax.experiments.workdir.metrics import MetricLog
from stn_jax.experiments.workdir.result import write_result
from stn_jax.experiments.workdir.run_config import check_workdir, claim_workdir, settings
from stn_jax.files import digest
from stn_jax.transforms import make_family


def train_and_evaluate(
    config: ConfigDict, workdir: Path, make_hook: MakeHook | None = None
) -> dict | None:
    """Starts a run in `workdir`, or resumes the run there, and evaluates it at the end.

    Args:
        config: a config such as those in `configs/`.
        workdir: the folder for `config.json`, `environment.json`, `metrics.jsonl`, TensorBoard
            events, `checkpoints/` and `result.json`.
        make_hook: creates a hook that observes the run while it trains, such as
            `stn_jax.experiments.run_pictures.RunPictures`.

    Returns:
        The content of `result.json`, or None if a signal (SIGINT, SIGTERM) stopped the run before
        its end.

    Raises:
        UserError: if the config or the workdir cannot be used.
        TrainingDivergedError: if a loss was not finite; earlier checkpoints are kept.
    """
    check_config(config)
    config = find_task(config).completed(config)
    check_workdir(workdir, config)  # before the data are prepared, which may take long
    setup = load(config)
    program = make_program(config, setup, [config.seed])
    trained = run(config, setup, program, workdir, with_result=True, make_hook=make_hook)
    return None if trained is None else _result(config, setup, trained)


def load(config: ConfigDict) -> Setup:
    """Builds the setup of a config, which downloads, generates or reads its data.

    Raises:
        UserError: if the config or the data cannot be used.
    """
    check_config(config)
    check_batch_size(config.batch_size, "config.batch_size")
    hosts.agree("the start", lambda: settings(config) | must_be_the_same())
    print("reading the data", flush=True)
    setup = make_setup(config)
    hosts.agree("the data", lambda: _description(setup.data), seconds=hosts.DATA_SECONDS)
    return setup


def _description(data: Data) -> dict[str, str]:
    return {
        "name of the data": data.name,
        "training labels": digest(data.train.labels.tobytes()),
        "test labels": digest(data.test.labels.tobytes()),
    }


class Trained(NamedTuple):
    """The outcome of a run that reached its end."""

    state: TrainState
    evaluation: Evaluation
    train_seconds: float  # summed over all processes that worked on the run


def run(
    config: ConfigDict,
    setup: Setup,
    program: Program,
    workdir: Path,
    *,
    with_result: bool = False,
    make_hook: MakeHook | None = None,
) -> Trained | None:
    """Trains to the end of a run; returns None if a signal has stopped it earlier.

    From the first step on, SIGINT and SIGTERM stop it between dispatches, once the state is saved;
    a second signal does what it did before. Of several processes, one writes the folder, and the
    others need none; all stop at the same step.

    Args:
        config: the config that `workdir` belongs to.
        setup: the data and the network of `config`.
        program: the compiled parts, made from `config` and `setup`.
        workdir: the run's folder.
        with_result: whether to write `result.json`; only for programs with one seed.
        make_hook: as in `train_and_evaluate`; only for programs with one seed.

    Raises:
        UserError, TrainingDivergedError: as in `train_and_evaluate`.
    """
    with _claimed(workdir, config):
        trained = _run(config, setup, program, workdir, with_result, make_hook)
    hosts.meet("the end of the run")
    return trained


def _run(
    config: ConfigDict,
    setup: Setup,
    program: Program,
    workdir: Path,
    with_result: bool,
    make_hook: MakeHook | None,
) -> Trained | None:
    directory = workdir / "checkpoints"
    state = _initial_or_saved_state(config, setup, program.initial, directory)
    start, writes = int(state.step), hosts.is_writer()
    if start < setup.num_steps and writes:
        note_environment(workdir, start)
    if start:
        print(f"resuming at step {start} of {setup.num_steps}", flush=True)
    train = _compiled(program, state) if start < setup.num_steps else None
    with ExitStack() as stack:
        stop_asked = stack.enter_context(stop_on_signals())
        saver = Checkpoints(directory, keep_newest=config.keep_checkpoints, config=config)
        stack.enter_context(saver)
        log = hook = None
        if writes:
            log = MetricLog(workdir, start_step=start, param_names=_param_names(config))
            stack.enter_context(log)
        recorder = StepRecorder(
            log,
            stack.enter_context(Progress(start_step=start, num_steps=setup.num_steps)),
            batch_size=program.examples_per_step,
            log_every=config.log_every,
            learning_rate=learning_rates(config.optimizer, setup.num_steps),
        )
        if make_hook and log:
            hook = make_hook(config, setup, workdir, log)
            hook.begin(state)
        hosts.meet("the first pictures")
        state, evaluation = _train(
            config, setup, program, train, state, saver, recorder, hook, stop_asked
        )
        if evaluation is not None:
            trained = Trained(state, evaluation, recorder.train_seconds)
            if with_result and writes:
                write_result(workdir, _result(config, setup, trained))
            if hook:
                hook.finish(state)  # last, so that a failed picture does not cost the result
            return trained
    print(f"stopped at step {int(state.step)}: run the same command again to resume")
    return None


@contextmanager
def _claimed(workdir: Path, config: ConfigDict) -> Iterator[None]:
    """Makes the folder this run's, and keeps other processes from training in it."""
    if not hosts.is_writer():
        yield
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to --workdir={workdir}: {error.strerror}") from error
    with locked(workdir, wait=False):
        claim_workdir(workdir, config)
        yield


def _param_names(config: ConfigDict) -> tuple[str, ...]:
    family = config.model.family
    return () if family == "none" else make_family(family).param_names


def _compiled(program: Program, state: TrainState) -> jax.stages.Compiled:
    print("compiling the training step", flush=True)
    started = time.perf_counter()
    step = int(state.step)
    train = compile_within_memory(
        program.train, state, program.batches(step, step + 1), np.int32(1)
    )
    print(f"compiled the training step in {time.perf_counter() - started:.1f} s", flush=True)
    return train


def _result(config: ConfigDict, setup: Setup, trained: Trained) -> dict:
    state, evaluation = trained.state, trained.evaluation
    examples = int(state.step) * config.batch_size
    seconds = trained.train_seconds  # 0 if metrics.jsonl was removed after the last step
    return {
        "test_error_percent": float(evaluation.error_percent),
        **{f"test_{name}": float(value) for name, value in evaluation.details.items()},
        "test_loss": float(evaluation.loss),
        "num_params": state.num_params,
        "steps": int(state.step),
        "epochs": examples / len(setup.data.train.labels),
        "examples_per_second": examples / seconds if seconds else 0.0,
        "train_seconds": seconds,
        "dataset": setup.data.name,
        "model": setup.model_name,
        "seed": config.seed,
        **environment(),
    }


def _train(
    config: ConfigDict,
    setup: Setup,
    program: Program,
    train: jax.stages.Compiled | None,
    state: TrainState,
    checkpoints: Checkpoints,
    recorder: StepRecorder,
    hook: Hook | None,
    stop_asked: threading.Event,
) -> tuple[TrainState, Evaluation | None]:
    """Runs the loop. The evaluation is None if the loop was asked to stop before the end."""
    step = saved_step = int(state.step)
    evaluation = None
    dispatches = _dispatches(setup, step, config.steps_per_dispatch)
    with closing(prefetch(program.batches, dispatches)) as stream:
        for dispatch, (step, end, batch) in enumerate(stream):
            if hosts.stop_here(stop_asked.is_set(), dispatch):
                recorder.finish()
                if step > saved_step:
                    checkpoints.save(state)
                return state, None
            assert train is not None
            state, metrics = train(state, batch, np.int32(end - step))
            recorder.dispatched(step, end, metrics)
            if hook and hook.wants(step, end):
                with recorder.paused(state):
                    hook.look(end, state)
            if end == setup.next_evaluation(step):
                recorder.finish()
                evaluation = program.evaluate(state)
                recorder.evaluated(end, evaluation)
                checkpoints.save(state, float(evaluation.error_percent.mean()))
                saved_step = end
                if hook and end < setup.num_steps:
                    hook.evaluated(end, state, recorder.train_seconds)
                hosts.meet(f"the files of step {end}")
    return state, evaluation or program.evaluate(state)


def _dispatches(setup: Setup, start: int, longest: int) -> Iterator[tuple[int, int]]:
    """Yields ranges of steps from `start` to the end, split where evaluations are due."""
    while start < setup.num_steps:
        end = min(start + longest, setup.next_evaluation(start))
        yield start, end
        start = end


def _initial_or_saved_state(
    config: ConfigDict, setup: Setup, initial: TrainState, directory: Path
) -> TrainState:
    """Returns the state to start from, on all devices, and moves unusable checkpoints aside."""
    state = initial
    if hosts.is_writer():
        saved, unusable = restore_newest(
            directory, initial, config=config, num_steps=setup.num_steps
        )
        for path in unusable:
            aside = directory.with_name("broken_checkpoints") / f"{path.name}-{time.time_ns()}"
            aside.parent.mkdir(exist_ok=True)
            path.rename(aside)
        state = saved or initial
    hosts.meet("the run's folder")
    return replicate(hosts.from_writer(state))
