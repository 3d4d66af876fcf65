"""The modes of `launch.py`: each checks its arguments, does the work and prints the result."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from stn_jax.errors import UserError, printable
from stn_jax.experiments import stopping
from stn_jax.experiments.durations import about
from stn_jax.experiments.predict_files import Prediction, predict_files
from stn_jax.experiments.report import write_report
from stn_jax.experiments.run_pictures import RunPictures, check_film
from stn_jax.experiments.trained_networks import pretrained_network, run_network
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
) -> None:
    """Prints the best answers, their probabilities and each theta for each image file.

    The network is that of the run in the workdir, or, if it is named, the pretrained one.

    Raises:
        ExceptionGroup: of a UserError for each file that cannot be read, after all the others have
            been answered.
    """
    _check_no_config(config)
    if not images:
        raise UserError("--mode=predict takes image files: name at least one, such as digit.png")
    paths = [expanded(name, "an image file") for name in images]
    if pretrained is None:
        network = run_network(_one(workdirs))
    elif workdirs:
        raise UserError("--workdir and --pretrained each name a network: choose one of them")
    else:
        network = pretrained_network(pretrained)
    errors = []
    for outcome in predict_files(network, paths):
        if isinstance(outcome, UserError):
            errors.append(outcome)
        else:
            print(_line(outcome), flush=True)
    if errors:
        raise ExceptionGroup("some images cannot be read", errors)


def _line(prediction: Prediction) -> str:
    best, *others = prediction.answers
    then = ", ".join(f"{answer.text} {answer.probability:.3f}" for answer in others)
    line = f"{printable(prediction.path)}: {best.text} ({best.probability:.3f}; then {then})"
    for theta in prediction.thetas.values():
        numbers = np.array2string(theta, precision=3, suppress_small=True, max_line_width=10_000)
        line += f" theta {numbers}"
    return line


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
