"""How commands end: with one line and an exit code, whatever happens."""

import atexit
import contextlib
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator

import jax

from stn_jax.errors import UserError, one_line
from stn_jax.experiments import stopping
from stn_jax.experiments.cli.parser import fail, fail_with_each
from stn_jax.experiments.training import hosts
from stn_jax.experiments.training.diverged import TrainingDivergedError

try:
    import resource
except ModuleNotFoundError:  # on Windows
    resource = None  # type: ignore[assignment]

_OPEN_FILES = 1024
_FEWEST_OPEN_FILES = 64
_BROKEN_PIPE = 141  # as if SIGPIPE had ended the process


@contextlib.contextmanager
def reported(program: str) -> Iterator[None]:
    """Reports what its body raises in one line, and exits.

    The exit code is 1 if training diverged, 2 if something must be changed first, such as a
    setting or a full disk, 3 if another process of the run was lost, and 128 plus the number of a
    signal that stopped the process. Other exceptions are bugs, and pass.
    """
    _open_closed_streams()
    stopping.raise_on_signals(program)
    _silence_libraries()
    try:
        _check_working_directory()
        _allow_open_files()
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
        stopping.claim_final_message()
        fail(program, "stopped", stopping.exit_code())
    if isinstance(error, TrainingDivergedError):
        fail(program, error, 1)
    if isinstance(error, UserError):
        fail(program, error)
    if isinstance(error, ExceptionGroup) and error.split(UserError)[1] is None:
        fail_with_each(program, error)
    if isinstance(error, BrokenPipeError):  # whoever reads the output has enough
        sys.exit(_BROKEN_PIPE)
    if isinstance(error, OSError):
        atexit.register(_mute_stderr)  # threads of the storage library print what they fail at
        reason = error.strerror or error
        fail(program, f"{error.filename}: {reason}" if error.filename else reason)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        reason = one_line(error)[:200]
        fail(program, f"out of memory: reduce batch_size or the sizes in config.model ({reason})")
    if isinstance(error, hosts.LostProcessError):
        fail(program, error, hosts.LOST)
    if isinstance(error, jax.errors.JaxRuntimeError) and hosts.count() > 1:
        reason = one_line(error)[:200]
        fail(program, f"a step failed, as when another process has ended ({reason})", hosts.LOST)


def _flush_stdout(program: str) -> None:
    """Exits if that is impossible."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # What is left cannot be written, and Python would try to at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _report(program, error)


def _open_closed_streams() -> None:
    """Fills the places of closed standard streams, which the next files would take otherwise."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115


def _mute_stderr() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _silence_libraries() -> None:
    """Hides what says nothing to users; what fails is reported by an exception.

    What this package logs is printed to stderr without a date.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    ours = logging.getLogger("stn_jax")
    ours.handlers, ours.propagate = [logging.StreamHandler()], False
    ours.setLevel(logging.INFO)
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    # Orbax logs the traceback of each thread that fails.
    logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)


def _check_working_directory() -> None:
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise UserError("the working directory no longer exists: change to another one") from error


def _allow_open_files() -> None:
    """Raises the limit of open files to what is customary, and refuses one that is too low."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < _FEWEST_OPEN_FILES:
        raise UserError(
            f"this process may open {hard} files only, which are too few: allow it {_OPEN_FILES}, "
            f"as with `ulimit -n {_OPEN_FILES}`"
        )
