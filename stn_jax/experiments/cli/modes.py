"""The modes of `launch.py`: each checks its arguments, does the work and prints the result."""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from stn_jax.errors import UserError
from stn_jax.experiments import stopping
from stn_jax.experiments.durations import about
from stn_jax.experiments.predict_files import (
    PredictionFolder,
    outcome_line,
    picture_paths,
    predict_files,
)
from stn_jax.experiments.pretrained import load_pretrained
from stn_jax.experiments.report import write_report
from stn_jax.experiments.run_pictures import RunPictures, check_film
from stn_jax.experiments.trained_networks import run_network
from stn_jax.experiments.training.evaluation import evaluate_workdir
from stn_jax.experiments.training.loop import train_and_evaluate
from stn_jax.experiments.user_paths import expanded, user_path

_WRITTEN = {
    "checkpoints": "checkpoints",
    "metrics": "metrics.jsonl",
    "result": "result.json",
    "video": "figures/training.mp4",
    "film": "figures/training.gif",
    "picture": "figures/samples.png",
}
"""What a finished run may have written, by its name for users."""


def train(config: ConfigDict | None, workdirs: Sequence[str], arguments: list[str]) -> None:
    """Trains in the workdir, by default runs/NAME-seedN, and prints the result."""
    _check_no_arguments(arguments)
    if config is None:
        raise UserError("--config is missing: name one, such as --config=configs/quickstart.py")
    folder = _one(workdirs or [f"runs/{config.name}-seed{config.seed}"])
    check_film(config, folder)
    print(f"workdir: {folder}", flush=True)
    result = train_and_evaluate(config, folder, RunPictures)
    if result is None:
        sys.exit(stopping.exit_code())
    print(
        f"test error {result['test_error_percent']:.2f}% after {result['steps']} steps "
        f"({about(result['train_seconds'])} of training)"
    )
    for what, name in _WRITTEN.items():
        if (folder / name).exists():
            print(f"{what}: {folder / name}")


def evaluate(config: ConfigDict | None, workdirs: Sequence[str], arguments: list[str]) -> None:
    """Prints the test error of the newest checkpoint in the workdir."""
    _check_no_arguments(arguments)
    _check_no_config(config)
    step, evaluation = evaluate_workdir(_one(workdirs))
    print(
        f"step {step}: test error {evaluation.error_percent:.2f}%, test loss {evaluation.loss:.4f}"
    )
    for name, value in evaluation.details.items():
        print(f"  {name}: {value:.2f}")


def predict(
    config: ConfigDict | None,
    workdirs: Sequence[str],
    images: list[str],
    pretrained: str | None = None,
    out: str | None = None,
) -> None:
    """Prints the best answers, their probabilities and what the transformers did for each image.

    Images are files, or folders of files. The network is that of the run in the workdir, or, if it
    is named, the pretrained one. With `out`, the answers are also written to this folder, as a
    table and as a picture per file.

    Raises:
        ExceptionGroup: of a UserError for each file that cannot be read, after all the others have
            been answered.
    """
    _check_no_config(config)
    if not images:
        raise UserError(
            "--mode=predict takes image files or folders: name at least one, such as digit.png"
        )
    paths = picture_paths([expanded(name, "an image file") for name in images])
    if pretrained is None:
        network = run_network(_one(workdirs))
    elif workdirs:
        raise UserError("--workdir and --pretrained each name a network: choose one of them")
    else:
        network = load_pretrained(pretrained)
    errors = []
    with contextlib.ExitStack() as stack:
        written = None
        if out is not None:
            written = stack.enter_context(PredictionFolder(user_path(out, "--out")))
        for path, outcome in predict_files(network, paths):
            if isinstance(outcome, UserError):
                errors.append(outcome)
            else:
                print(outcome_line(path, outcome), flush=True)
            if written is not None:
                written.add(path, outcome)
    if out is not None:
        print(f"table and pictures: {user_path(out, '--out')}")
    if errors:
        raise ExceptionGroup("some images cannot be read", errors)


def report(
    config: ConfigDict | None,
    workdirs: Sequence[str],
    arguments: list[str],
    output: str | None = None,
) -> None:
    """Writes a page about the runs in the workdirs, and prints its path."""
    _check_no_arguments(arguments)
    _check_no_config(config)
    path = None if output is None else user_path(output, "--output")
    print(f"report: {write_report(_paths(workdirs), path)}")


def _one(workdirs: Sequence[str]) -> Path:
    folder, *more = _paths(workdirs)
    if more:
        raise UserError(
            f"--workdir was given {len(workdirs)} times: only --mode=report takes several runs"
        )
    return folder


def _paths(workdirs: Sequence[str]) -> list[Path]:
    if not workdirs:
        raise UserError("--workdir is missing: name the folder of a trained run")
    return [user_path(workdir, "--workdir") for workdir in workdirs]


def _check_no_config(config: ConfigDict | None) -> None:
    if config is not None:
        raise UserError("--config is for --mode=train: other modes use the config of the run")


def _check_no_arguments(arguments: list[str]) -> None:
    if arguments:
        raise UserError(
            f"cannot interpret {' '.join(arguments)!r}: options start with --, and image "
            "files go with --mode=predict"
        )
