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
    PredictionWriter,
    outcome_line,
    picture_paths,
    predict_files,
)
from stn_jax.experiments.pretrained import load_pretrained, pretrained_card
from stn_jax.experiments.report import write_report
from stn_jax.experiments.run_pictures import RunPictures, check_film
from stn_jax.experiments.trained_networks import NUM_ANSWERS, Network, run_network
from stn_jax.experiments.training.evaluation import evaluate_workdir
from stn_jax.experiments.training.loop import train_and_evaluate
from stn_jax.experiments.training.progress import progress_bar
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
    *,
    pretrained: str | None = None,
    out: str | None = None,
    top: int = NUM_ANSWERS,
    save_crops: bool = False,
) -> None:
    """Prints the best answers, their probabilities and what the transformers did for each image.

    Images are files, or folders of files. The network is that of the run in the workdir, or, if it
    is named, the pretrained one. With `out`, the answers are also written there.

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
    written = None if out is None else PredictionWriter(user_path(out, "--out"), crops=save_crops)
    if save_crops and written is None:
        raise UserError("--save-crops needs --out=DIR: name a folder for the pictures")
    network = _network(workdirs, pretrained)
    errors = []
    with written or contextlib.nullcontext(), progress_bar(len(paths), "file") as bar:
        for path, outcome in predict_files(network, paths, top=top):
            if isinstance(outcome, UserError):
                errors.append(outcome)
            else:
                bar.write(outcome_line(path, outcome), file=sys.stdout)
                sys.stdout.flush()
            if written is not None:
                written.add(path, outcome)
            bar.update()
    if written is not None:
        print(f"answers: {written.out}")
    if errors:
        raise ExceptionGroup("some images cannot be read", errors)


def export(
    config: ConfigDict | None,
    workdirs: Sequence[str],
    arguments: list[str],
    *,
    pretrained: str | None = None,
    to: str | None = None,
    out: str | None = None,
) -> None:
    """Writes the network of the run in the workdir, or the pretrained one, in a format."""
    # Slow imports, which other modes do not need.
    from stn_jax.experiments.export import FORMATS, export_network
    from stn_jax.experiments.pretrained.cards import run_card

    _check_no_arguments(arguments)
    _check_no_config(config)
    if to is None:
        raise UserError(f"--format is missing: name one of {', '.join(FORMATS)}")
    network = _network(workdirs, pretrained)
    if pretrained is None:
        workdir = _one(workdirs)
        card, folder = run_card(network, workdir), workdir / "exported"
    else:
        card, folder = pretrained_card(pretrained), Path("exported") / Path(pretrained).name
    if out is not None:
        folder = user_path(out, "--out")
    for path in export_network(network, to, folder, card=card):
        print(f"{path}: {path.stat().st_size / 1e6:.3f} MB")


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


def _network(workdirs: Sequence[str], pretrained: str | None) -> Network:
    if pretrained is None:
        return run_network(_one(workdirs))
    if workdirs:
        raise UserError("--workdir and --pretrained each name a network: choose one of them")
    return load_pretrained(pretrained)


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
