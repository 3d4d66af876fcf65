"""Helpers shared by the data sets that tensorflow-datasets (tfds) prepares."""

import contextlib
import errno
import importlib.util
import io
import shutil
import sys
import tempfile
import threading
import tokenize
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from stn_jax.errors import UserError, one_line
from stn_jax.experiments.locks import LOCK_FILE, locked
from stn_jax.experiments.user_paths import expanded

PROBE_SECONDS = 5.0
_MISSING = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR)


def root(data_dir: str | None) -> Path:
    """Returns the folder where tfds keeps its data sets: `data_dir`, or tfds's default if empty.

    Raises:
        UserError: tfds cannot read or prepare any data here, because array-record is missing.
    """
    if importlib.util.find_spec("array_record") is None:
        raise UserError(
            "data sets on disk need array-record, which is not installed (there is none for "
            "Windows): on Linux or macOS run `pip install array-record`; "
            "--config.data.source=embedded needs no data sets on disk"
        )
    return data_folder(data_dir)


def data_folder(data_dir: str | None) -> Path:
    """Returns `data_dir`, or tfds's default if it is empty."""
    import tensorflow_datasets as tfds  # takes a second to import

    return expanded(str(data_dir or tfds.core.constants.DATA_DIR), "config.data.data_dir")


def progress_on_a_terminal_only() -> None:
    """Turns off tfds's progress bars unless stderr is a terminal."""
    import tensorflow_datasets as tfds

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()


def remove_incomplete(folder: Path) -> None:
    """Removes what processes that were killed while they prepared data left in their folder."""
    if (folder / LOCK_FILE).exists() or any(folder.glob("incomplete.*")):
        with locked(folder):
            for leftover in folder.glob("incomplete.*"):
                shutil.rmtree(leftover, ignore_errors=True)


def prepare_once(builder: Any, write: Callable[[Path], None], what: str) -> None:
    """Calls `write` to prepare the data of a builder, unless another process has done so meanwhile.

    Args:
        builder: a builder of tfds.
        write: a function that prepares the data, given an empty folder for temporary files.
        what: the name of the data for messages.

    Raises:
        UserError: if the data cannot be written or downloaded. Nothing is left then.
    """
    folder = Path(builder.data_path).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            if builder.data_path.exists():
                return
            with tempfile.TemporaryDirectory(dir=folder, prefix="incomplete.") as scratch:
                print(f"preparing {what} in {folder}, once", flush=True)
                # tfds says that it downloads data of unknown size, also where it downloads nothing.
                with contextlib.redirect_stdout(io.StringIO()):
                    write(Path(scratch))
    except UserError:
        raise
    except Exception as error:
        cause = _first_cause(error)
        if isinstance(cause, UserError):
            raise UserError(str(cause)) from error
        expected: tuple[Any, ...] = (OSError, *_download_errors())
        if type(cause) is not RuntimeError and not isinstance(cause, expected):
            raise  # array_record raises RuntimeError
        raise UserError(
            f"cannot prepare {what} in {folder} ({_reason(cause)}): fix that and run again, or "
            "choose another --config.data.data_dir=DIR"
        ) from error


def manual_folder(manual_dir: str, holds: Sequence[str]) -> Path:
    """Returns the folder of files that the user has fetched.

    Raises:
        UserError: if there is no such folder; the message says what files it should hold.
    """
    folder = expanded(str(manual_dir), "config.data.manual_dir")
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(
            f"--config.data.manual_dir={manual_dir} {problem}: name the folder that holds "
            f"{', '.join(holds)}"
        )
    return folder


@contextlib.contextmanager
def damage_reported(what: str, folder: Path) -> Iterator[None]:
    """Converts the errors of files that cannot be read or decoded to UserError.

    It advises to delete the folder only if the files are missing or damaged. Other errors, such as
    a mistake in this package, pass.
    """
    from google.protobuf import json_format, message

    # Pillow raises SyntaxError and OSError without a number, and NumPy
    # all of these but the last two.
    damage = (
        *(EOFError, OverflowError, SyntaxError, ValueError, tokenize.TokenError),
        *(json_format.ParseError, message.DecodeError),
    )
    try:
        yield
    except UserError:
        raise
    except (OSError, RuntimeError, *damage) as error:
        cause = _first_cause(error)
        if isinstance(cause, RuntimeError):
            if type(cause) not in (RuntimeError, RecursionError):  # of array_record, and of json
                raise
            cause = _unreadable(folder) or cause
        if isinstance(cause, OSError) and cause.errno not in (None, *_MISSING):
            raise UserError(
                f"cannot read {what} in {folder} ({_reason(cause)}): fix that and run again"
            ) from error
        raise UserError(
            f"cannot read {what} in {folder} ({_reason(cause)}): delete that folder to have them "
            "prepared again, or choose another --config.data.data_dir=DIR"
        ) from error


def split_lengths(data_path: Path, version: str) -> dict[str, int]:
    """Returns the number of examples of each split in the folder of prepared data.

    Raises:
        ValueError: if tfds cannot read the data; or other errors that `damage_reported` converts.
    """
    from tensorflow_datasets.core import dataset_info

    info = dataset_info.read_from_json(data_path / "dataset_info.json")
    if (info.version, info.file_format) != (version, "array_record"):
        raise ValueError(f"version {info.version!r}, file format {info.file_format!r}")
    return {split.name: sum(split.shard_lengths) for split in info.splits}


def _unreadable(folder: Path) -> OSError | None:
    """Returns the error of the first file that cannot be opened, which array_record only prints."""
    try:
        for path in Path(folder).rglob("*.array_record*"):
            path.open("rb").close()
    except OSError as error:
        return error
    return None


def _download_errors() -> tuple[type[Exception], ...]:
    from tensorflow_datasets.core.download import download_manager, extractor, util

    its_own = util.DownloadError, download_manager.NonMatchingChecksumError, extractor.ExtractError
    return EOFError, zlib.error, *its_own


def _first_cause(error: BaseException) -> BaseException:
    while error.__cause__ and not isinstance(error, UserError):
        error = error.__cause__  # the outer messages contain whole images
    return error


def _reason(error: BaseException) -> str:
    reason = one_line(error) or type(error).__name__
    return reason if len(reason) <= 300 else f"{reason[:150]} ... {reason[-150:]}"


def answers(url: str) -> bool:
    """Returns within seconds whether `url` can be reached; tfds would retry for minutes."""
    import requests  # tfds downloads with it too: the same proxies and certificates

    answered = []

    def ask() -> None:
        with contextlib.suppress(requests.RequestException):
            answered.append(requests.head(url, timeout=PROBE_SECONDS).ok)

    # In a thread, because the lookup of the host's name ignores the timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(2 * PROBE_SECONDS)
    return answered == [True]
