"""Trains, evaluates and uses spatial transformer networks: flags only, the work is in stn_jax.

Usage:
    python launch.py --config=configs/NAME.py[:VARIANT] [--workdir=DIR] [--config.key=value ...]
    python launch.py --mode=eval --workdir=DIR
    python launch.py --mode=predict --workdir=DIR IMAGE [IMAGE ...]
    python launch.py --mode=report --workdir=DIR [--workdir=DIR2 ...]
"""

import sys
from typing import NoReturn

from absl import app, flags, logging
from ml_collections import config_flags

from stn_jax.errors import TrainingDivergedError, UserError

_CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment, for --mode=train.")
_WORKDIRS = flags.DEFINE_multi_string(
    "workdir", [], "The run's folder (default: runs/CONFIG); of --mode=report one or more."
)
_MODES = ["train", "eval", "predict", "report"]
_MODE = flags.DEFINE_enum("mode", "train", _MODES, "What to do.")


def main(argv: list[str]) -> None:
    """Runs one mode."""
    # Only once the flags are known to be right.
    from stn_jax import commands
    from stn_jax.cache import keep_compiled_programs

    keep_compiled_programs()
    logging.set_verbosity(logging.WARNING)  # the checkpoint library tells a lot

    try:
        if _MODE.value == "train":
            commands.train(_CONFIG.value, _WORKDIRS.value, argv[1:])
        elif _MODE.value == "eval":
            commands.evaluate(_CONFIG.value, _WORKDIRS.value, argv[1:])
        elif _MODE.value == "predict":
            commands.predict(_CONFIG.value, _WORKDIRS.value, argv[1:])
        else:
            commands.report(_CONFIG.value, _WORKDIRS.value, argv[1:])
    except UserError as error:
        _fail(error, exit_code=2)
    except OSError as error:
        _fail(
            f"{error.filename or ', '.join(_WORKDIRS.value)}: {error.strerror or error}",
            exit_code=2,
        )
    except TrainingDivergedError as error:
        _fail(error, exit_code=1)


def _parse_flags(argv: list[str]) -> list[str]:
    try:
        arguments = flags.FLAGS(argv)
        if _CONFIG.value is not None:
            _CONFIG.value.keys()  # a config file that is not there is only noticed when it is used
        return arguments
    except (AttributeError, KeyError) as error:
        cause: BaseException = error
        while cause.args and isinstance(cause.args[0], BaseException):
            cause = cause.args[0]
        _fail(f"in --config: {cause.args[0] if cause.args else cause!r}", exit_code=2)
    except (flags.Error, UserError, OSError, TypeError, ValueError) as error:
        _fail(error, exit_code=2)


def _fail(error: Exception | str, *, exit_code: int) -> NoReturn:
    print(f"launch.py: {' '.join(str(error).split())}", file=sys.stderr)
    sys.exit(exit_code)


if __name__ == "__main__":
    app.run(main, flags_parser=_parse_flags)
