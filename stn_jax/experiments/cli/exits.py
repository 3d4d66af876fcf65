"""How commands end: with one line and an exit code, whatever happens."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator

from stn_jax.errors import UserError, one_line
from stn_jax.experiments import stopping
from stn_jax.experiments.cli.parser import fail
from stn_jax.experiments.training.diverged import TrainingDivergedError

_BROKEN_PIPE = 141  # as if SIGPIPE had ended the process


@contextlib.contextmanager
def reported(program: str) -> Iterator[None]:
    """Reports what its body raises in one line, and exits.

    The exit code is 1 if training diverged, 2 if something that the user gave or that the machine
    lacks stands in the way, and 128 plus the number of a signal that stopped the process. Other
    exceptions are bugs, and pass.
    """
    _open_closed_streams()
    stopping.raise_on_signals(program)
    try:
        yield
    except BaseException as error:
        _flush_stdout(program)
        done = isinstance(error, SystemExit) and not error.code
        stopping.handle_signals(signal.SIG_IGN if done else signal.SIG_DFL)
        _report(program, error)
        raise
    _flush_stdout(program)


def _report(program: str, error: BaseException) -> None:
    if isinstance(error, KeyboardInterrupt | stopping.Terminated):
        fail(program, "stopped", stopping.exit_code())
    if isinstance(error, TrainingDivergedError):
        fail(program, error, 1)
    if isinstance(error, UserError):
        fail(program, error)
    if isinstance(error, OSError):
        reason = error.strerror or error
        fail(program, f"{error.filename}: {reason}" if error.filename else reason)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        reason = one_line(error)[:200]
        fail(program, f"out of memory: reduce batch_size or the sizes in config.model ({reason})")


def _flush_stdout(program: str) -> None:
    """Exits if that is impossible."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # What is left cannot be written, and Python would try to at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # whoever reads the output has enough
            sys.exit(_BROKEN_PIPE)
        fail(program, f"cannot write to stdout: {error.strerror}")


def _open_closed_streams() -> None:
    """Fills the places of closed standard streams, which the next files would take otherwise."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
