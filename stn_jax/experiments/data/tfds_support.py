"""Helpers shared by the data sets that tensorflow-datasets (tfds) prepares."""

import contextlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from stn_jax.errors import UserError

PROBE_SECONDS = 5.0


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
    import tensorflow_datasets as tfds  # takes a second to import

    return Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()


def progress_on_a_terminal_only() -> None:
    """Turns off tfds's progress bars unless stderr is a terminal."""
    import tensorflow_datasets as tfds

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()


@contextlib.contextmanager
def user_error(problem: str, remedy: str) -> Iterator[None]:
    """Converts whatever tfds raises in the block, from KeyError to RuntimeError, to UserError."""
    try:
        yield
    except (UserError, ImportError):
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__:  # the outer messages contain whole images
            cause = cause.__cause__
        reason = " ".join(str(cause).split()) or type(cause).__name__
        if len(reason) > 300:
            reason = f"{reason[:150]} ... {reason[-150:]}"
        raise UserError(f"{problem} ({reason}): {remedy}") from error


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
