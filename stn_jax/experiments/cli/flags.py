"""The flags of `launch.py` and of `stn-jax train`, `eval`, `predict` and `report`."""

import sys
from typing import NoReturn

from absl import app, flags, logging
from ml_collections import config_flags

from stn_jax.errors import UserError, one_line
from stn_jax.experiments.training.diverged import TrainingDivergedError

_CONFIG = config_flags.DEFINE_config_file("config", None, "The config file, for --mode=train.")
_WORKDIRS = flags.DEFINE_multi_string(
    "workdir", [], "The run's folder (default: runs/NAME-seedN); --mode=report accepts several."
)
MODES = ("train", "eval", "predict", "report")
_MODE = flags.DEFINE_enum("mode", "train", MODES, "The action to run.")


def launch(argv: list[str] | None = None, program: str = "launch.py") -> NoReturn:
    """Parses the flags, runs one mode and exits.

    The exit code is 0, or 1 if training diverged, or 2 on wrong usage.

    Args:
        argv: the program's name and its arguments; `sys.argv` if None.
        program: the name that error messages start with.
    """

    def tell(error: Exception | str) -> None:
        print(f"{program}: {one_line(error)}", file=sys.stderr)

    def fail(error: Exception | str, *, exit_code: int) -> NoReturn:
        tell(error)
        sys.exit(exit_code)

    def parse_flags(argv: list[str]) -> list[str]:
        try:
            arguments = flags.FLAGS(argv)
            if _CONFIG.value is not None:
                _CONFIG.value.keys()  # a missing config file is only detected on use
            return arguments
        except (AttributeError, KeyError) as error:
            cause: BaseException = error
            while cause.args and isinstance(cause.args[0], BaseException):
                cause = cause.args[0]
            fail(f"in --config: {cause.args[0] if cause.args else cause!r}", exit_code=2)
        except (flags.Error, OSError, TypeError, ValueError) as error:
            fail(_from_config_file(error) or error, exit_code=2)

    def main(argv: list[str]) -> None:
        try:
            _run_mode(argv[1:])
        except UserError as error:
            fail(error, exit_code=2)
        except ExceptionGroup as group:  # a UserError for each file that cannot be read
            for unreadable in group.exceptions:
                tell(unreadable)
            sys.exit(2)
        except OSError as error:
            path = error.filename or ", ".join(_WORKDIRS.value)
            fail(f"{path}: {error.strerror or error}", exit_code=2)
        except TrainingDivergedError as error:
            fail(error, exit_code=1)

    app.run(main, argv=argv, flags_parser=parse_flags)
    raise AssertionError("app.run does not return")


def _from_config_file(error: BaseException | None) -> UserError | None:
    """Returns the UserError that a config file raised, if any; the flags wrap it in a traceback."""
    found = None
    while error is not None:
        if isinstance(error, UserError):
            found = error
        error = error.__cause__ or error.__context__
    return found


def _run_mode(arguments: list[str]) -> None:
    # Imported only after the flags have been checked.
    from stn_jax.cache import keep_compiled_programs
    from stn_jax.experiments.cli import modes

    keep_compiled_programs()
    logging.set_verbosity(logging.WARNING)  # the checkpoint library logs a lot
    run = {
        "train": modes.train,
        "eval": modes.evaluate,
        "predict": modes.predict,
        "report": modes.report,
    }[_MODE.value]
    run(_CONFIG.value, _WORKDIRS.value, arguments)
