"""Predictions for image files: lines to read, tables, and a picture for each file."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from PIL import Image

from stn_jax.errors import UserError, one_line, printable
from stn_jax.experiments.data.picture_files import PICTURE_SUFFIXES
from stn_jax.experiments.tasks import read_image
from stn_jax.experiments.trained_networks import NUM_ANSWERS, Network, Prediction
from stn_jax.files import write_atomically
from stn_jax.visualization import draw_answer, png_bytes

Outcome = tuple[Path, Prediction | UserError]

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
        inside = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in PICTURE_SUFFIXES]
        inside = [p for p in inside if not p.is_dir()]
        if not inside:
            raise UserError(f"{path} holds no pictures: name a folder with PNG or JPEG files")
        found += inside
    return found


def predict_files(
    network: Network, paths: Sequence[Path], *, top: int = NUM_ANSWERS
) -> Iterator[Outcome]:
    """Classifies image files in batches of at most `config.eval_batch_size`.

    Args:
        network: the network.
        paths: of the files.
        top: how many answers to give for each file.

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
            yield from _predict(network, read, batch_size, top)
            read = []
    if read:
        yield from _predict(network, read, batch_size, top)


def _predict(
    network: Network, read: Sequence[tuple[Path, np.ndarray]], batch_size: int, top: int
) -> Iterator[Outcome]:
    paths, images = zip(*read, strict=True)
    # A smaller batch repeats its images, so that one program does for all batches.
    batch = np.resize(images, (batch_size, *network.input_shape))
    yield from zip(paths, network.predict(batch, top=top), strict=False)


def outcome_line(path: Path, prediction: Prediction) -> str:
    """Returns the best answers, their probabilities, and what the transformers did, in words."""
    best, *others = prediction.answers
    then = ", ".join(f"{answer.text} {answer.probability:.3f}" for answer in others)
    chances = f"{best.probability:.3f}; then {then}" if then else f"{best.probability:.3f}"
    line = f"{printable(path)}: {best.text} ({chances})"
    return f"{line}; {prediction.description}" if prediction.motions else line


class PredictionWriter:
    """Writes answers as tables, and a picture for each file. Use it as a context manager.

    The tables are written when the context ends, even by an error: they have what was added until
    then.

    Args:
        out: a file that ends in .csv or .json, for one table; or a folder, which is made if it does
            not exist, for `predictions.csv`, `predictions.json`, and for each file a picture of the
            network's input, grids and output.
        crops: whether to save what the transformer at the input passed on, in the folder `crops`.

    Raises:
        UserError: the folder cannot be made, or `out` is a file and crops are asked for.
    """

    def __init__(self, out: Path, *, crops: bool = False):
        self.out = out
        is_table = out.suffix.lower() in _TABLES and not out.is_dir()
        if crops and is_table:
            raise UserError(f"crops need a folder, but {out} is a file: name a folder")
        self._folder = None if is_table else out
        self._crops = out / "crops" if crops else None
        folder = self._crops or self._folder or out.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make the folder {folder}: {error.strerror}") from error
        self._records: list[dict[str, Any]] = []
        self._names: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._records:
            return
        tables = (
            [self.out]
            if self._folder is None
            else [self._folder / f"predictions{suffix}" for suffix in _TABLES]
        )
        for path in tables:
            # The names of files may have bytes that are no text.
            text = _TABLES[path.suffix.lower()](self._records)
            write_atomically(path, text.encode(errors="surrogateescape"))

    def add(self, path: Path, outcome: Prediction | UserError) -> None:
        """Adds an outcome to the tables, and draws it.

        Raises:
            UserError: crops are asked for, and there is no transformer at the network's input.
        """
        if isinstance(outcome, UserError):
            self._records.append({"file": str(path), "error": one_line(outcome)})
            return
        record: dict[str, Any] = {"file": str(path), "error": ""}
        name = f"{self._new_name(path)}.png"
        if self._crops is not None:
            if outcome.transformed is None:
                raise UserError("the network has no transformer at its input, so no crops")
            picture = Image.fromarray(outcome.transformed.squeeze())
            file = io.BytesIO()
            picture.save(file, "PNG")
            write_atomically(self._crops / name, file.getvalue())
            record["crop"] = f"{self._crops.name}/{name}"
        if self._folder is not None:
            write_atomically(self._folder / name, _drawn(outcome))
            record["picture"] = name
        self._records.append(record | _record(outcome))

    def _new_name(self, path: Path) -> str:
        stem = name = printable(path.stem)[:_LONGEST_STEM]
        count = 1
        while name.lower() in self._names:  # some file systems ignore case
            count += 1
            name = f"{stem}-{count}"
        self._names.add(name.lower())
        return name


def _drawn(prediction: Prediction) -> bytes:
    """Returns a picture of the network's input, grids and output as a PNG file."""
    best = prediction.answers[0]
    return png_bytes(
        draw_answer(
            prediction.image,
            [
                (np.asarray(view.inputs), np.asarray(view.grid), np.asarray(view.outputs))
                for view in prediction.transformers.values()
            ],
            title=f"{best.text} ({best.probability:.0%})",
            captions=[str(motion) for motion in prediction.motions.values()],
        )
    )


def _record(prediction: Prediction) -> dict[str, Any]:
    return {
        "answers": [
            {"answer": answer.text, "probability": _rounded(answer.probability)}
            for answer in prediction.answers
        ],
        "transformers": [
            {
                "motion": str(motion),
                **{name: _rounded(x) for name, x in zip(motion._fields, motion, strict=True)},
                "theta": [_rounded(x) for x in np.ravel(prediction.transformers[path].theta)],
            }
            for path, motion in prediction.motions.items()
        ],
    }


def _rounded(number: Any) -> float:
    return float(f"{float(number):.6g}")


def _json_table(records: Sequence[dict[str, Any]]) -> str:
    return json.dumps(records, indent=1) + "\n"


def _csv_table(records: Sequence[dict[str, Any]]) -> str:
    rows = [_row(**record) for record in records]
    columns = {column: None for row in rows for column in row}  # in order, each once
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def _row(
    *,
    answers: Sequence[dict[str, Any]] = (),
    transformers: Sequence[dict[str, Any]] = (),
    **row: Any,
) -> dict[str, Any]:
    for place, answer in enumerate(answers, start=1):
        suffix = f"_{place}" if place > 1 else ""
        row |= {f"{name}{suffix}": value for name, value in answer.items()}
    for place, transformer in enumerate(transformers, start=1):
        prefix = f"transformer_{place}_" if len(transformers) > 1 else ""
        theta = " ".join(f"{number:g}" for number in transformer["theta"])
        row |= {f"{prefix}{name}": x for name, x in (transformer | {"theta": theta}).items()}
    return row


_TABLES = {".csv": _csv_table, ".json": _json_table}
"""Returns the text of a table, by the end of the file's name."""
