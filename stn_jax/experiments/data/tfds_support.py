"""What the data sets prepared by tensorflow-datasets (tfds) share."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from stn_jax.errors import UserError

PROBE_SECONDS = 5.0


def root(data_dir: str | None) -> Path:
    """The folder where tfds keeps its data sets: `data_dir`, or tfds's own if there is none."""
    import tensorflow_datasets as tfds  # takes a second

    return Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()


def progress_on_a_terminal_only() -> None:
    """Turns tfds's progress bars off where nobody watches them."""
    import tensorflow_datasets as tfds

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()


@contextlib.contextmanager
def user_error(problem: str, remedy: str) -> Iterator[None]:
    """Turns whatever tfds raises within, from KeyError to RuntimeError, into a UserError."""
    try:
        yield
    except (UserError, ImportError):
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__:  # the outer messages quote whole images
            cause = cause.__cause__
        reason = " ".join(str(cause).split()) or type(cause).__name__
        if len(reason) > 300:
            reason = f"{reason[:150]} ... {reason[-150:]}"
        raise UserError(f"{problem} ({reason}): {remedy}") from error


def answers(url: str) -> bool:
    """Whether `url` can be had; known within seconds, where tfds would retry for minutes."""
    import requests  # what tfds downloads with: the same proxies and certificates

    answered = []

    def ask() -> None:
        with contextlib.suppress(requests.RequestException):
            answered.append(requests.head(url, timeout=PROBE_SECONDS).ok)

    # A thread, because looking up the host's name heeds no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(2 * PROBE_SECONDS)
    return answered == [True]
