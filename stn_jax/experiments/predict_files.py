"""Predictions for image files: lines to read, a table, and a picture for each file."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from stn_jax.errors import UserError, one_line, printable
from stn_jax.experiments.tasks import read_image
from stn_jax.experiments.trained_networks import NUM_ANSWERS, Network, Prediction
from stn_jax.files import write_atomically
from stn_jax.transforms import Motion
from stn_jax.visualization import draw_answer, png_bytes

Outcome = tuple[Path, Prediction | UserError]

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
_SUFFIXES |= {".ppm", ".pgm", ".pbm", ".pnm"}
_LONGEST_STEM = 60  # characters, so that every file system takes the name


def picture_paths(paths: Sequence[Path]) -> list[Path]:
    """Returns the given files, and for each folder the pictures in it and its subfolders.

    Raises:
        UserError: a folder holds no picture.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in _SUFFIXES]
        inside = [p for p in inside if not p.is_dir()]
        if not inside:
            raise UserError(f"{path} holds no pictures: name a folder with PNG or JPEG files")
        found += inside
    return found


def predict_files(network: Network, paths: Sequence[Path]) -> Iterator[Outcome]:
    """Classifies image files in batches of at most `config.eval_batch_size`.

    Yields:
        Each path with the prediction for it or, if it cannot be read, the error. Predictions and
        errors are each in the order of `paths`.
    """
    batch_size = min(network.config.eval_batch_size, len(paths))
    read: list[tuple[Path, np.ndarray]] = []
    for path in paths:
        try:
            read.append((path, read_image(path, network.config)))
        except UserError as error:
            yield path, error
        if len(read) == batch_size:
            yield from _predict(network, read, batch_size)
            read = []
    if read:
        yield from _predict(network, read, batch_size)


def _predict(
    network: Network, read: Sequence[tuple[Path, np.ndarray]], batch_size: int
) -> Iterator[Outcome]:
    paths, images = zip(*read, strict=True)
    # A smaller batch repeats its images, so that one program does for all batches.
    batch = np.resize(images, (batch_size, *network.input_shape))
    yield from zip(paths, network.predict(batch), strict=False)


def outcome_line(path: Path, prediction: Prediction) -> str:
    """Returns the best answers, their probabilities, and what the transformers did, in words."""
    best, *others = prediction.answers
    then = ", ".join(f"{answer.text} {answer.probability:.3f}" for answer in others)
    line = f"{printable(path)}: {best.text} ({best.probability:.3f}; then {then})"
    return f"{line}; {prediction.description}" if prediction.motions else line


class PredictionFolder:
    """Writes `predictions.csv`, and a picture of the network's input, grids and output per file.

    The table is written when the context ends, even by an error: it has what was added until then.

    Args:
        folder: where to write; it is made if it does not exist.

    Raises:
        UserError: the folder cannot be made.
    """

    def __init__(self, folder: Path):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make the folder {folder}: {error.strerror}") from error
        self._folder = folder
        self._rows: list[dict[str, object]] = []
        self._names: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        columns = {column: None for row in self._rows for column in row}  # in order, each once
        text = io.StringIO()
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(self._rows)
        # The names of files may have bytes that are no text.
        content = text.getvalue().encode(errors="surrogateescape")
        write_atomically(self._folder / "predictions.csv", content)

    def add(self, path: Path, outcome: Prediction | UserError) -> None:
        """Draws an outcome, and adds it to the table."""
        if isinstance(outcome, UserError):
            self._rows.append({"file": path, "error": one_line(outcome)})
            return
        picture = self._folder / self._new_name(path)
        best = outcome.answers[0]
        figure = draw_answer(
            outcome.image,
            [
                (np.asarray(view.inputs), np.asarray(view.grid), np.asarray(view.outputs))
                for view in outcome.transformers.values()
            ],
            title=f"{best.text} ({best.probability:.0%})",
            captions=[str(motion) for motion in outcome.motions.values()],
        )
        write_atomically(picture, png_bytes(figure))
        self._rows.append({"file": path, "error": "", "picture": picture.name, **_columns(outcome)})

    def _new_name(self, path: Path) -> str:
        stem = name = printable(path.stem)[:_LONGEST_STEM]
        count = 1
        while name.lower() in self._names:  # some file systems ignore case
            count += 1
            name = f"{stem}-{count}"
        self._names.add(name.lower())
        return f"{name}.png"


def _columns(prediction: Prediction) -> dict[str, object]:
    columns: dict[str, object] = {}
    for place in range(NUM_ANSWERS):
        suffix = f"_{place + 1}" if place else ""
        if place < len(prediction.answers):
            text, probability = prediction.answers[place]
            columns[f"answer{suffix}"] = text
            columns[f"probability{suffix}"] = f"{probability:.6g}"
    for number, path in enumerate(prediction.motions, start=1):
        prefix = "" if len(prediction.motions) == 1 else f"transformer_{number}_"
        motion = prediction.motions[path]
        theta = prediction.transformers[path].theta
        columns[f"{prefix}motion"] = str(motion)
        columns |= {
            f"{prefix}{name}": f"{number:.6g}"
            for name, number in zip(Motion._fields, motion, strict=True)
        }
        columns[f"{prefix}theta"] = " ".join(f"{number:.6g}" for number in np.ravel(theta))
    return columns
