"""The flags of `launch.py` and of `stn-jax train`, `eval`, `predict` and `report`."""

import functools
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags, logging

from stn_jax.errors import UserError
from stn_jax.experiments.cli import parser
from stn_jax.experiments.cli.config_flag import Override, read_config_flag, take_overrides
from stn_jax.experiments.cli.exits import reported

_CONFIG = flags.DEFINE_string(
    "config",
    None,
    "The config file, for --mode=train: FILE.py[:VARIANT]. --config.KEY=VALUE changes a setting.",
)
_WORKDIRS = flags.DEFINE_multi_string(
    "workdir", [], "The run's folder (default: runs/NAME-seedN); --mode=report accepts several."
)
_PRETRAINED = flags.DEFINE_string(
    "pretrained",
    None,
    "A network that comes with the package, for --mode=predict, instead of a run.",
)
_OUT = flags.DEFINE_string(
    "out", None, "For --mode=predict: a folder for a table and a picture of each answer."
)
MODES = ("train", "eval", "predict", "report")
_MODE = flags.DEFINE_enum("mode", "train", MODES, "The action to run.")


def launch(argv: list[str] | None = None, program: str = "launch.py") -> NoReturn:
    """Parses the flags, runs one mode and exits with 0 or an exit code of `reported`.

    Args:
        argv: the program's name and its arguments; `sys.argv` if None.
        program: the name that error messages start with.
    """
    fail = functools.partial(parser.fail, program)
    overrides: list[Override] = []
    parser.escape_unencodable_output()

    def parse_flags(argv: list[str]) -> list[str]:
        try:
            argv = flags.FLAGS.read_flags_from_files(argv, force_gnu=False)
            argv, overrides[:] = take_overrides(argv)
            return flags.FLAGS(argv)
        except (flags.Error, OSError, ValueError) as error:
            fail(error)

    with reported(program):
        app.run(lambda argv: _run_mode(argv[1:], overrides), argv=argv, flags_parser=parse_flags)
    raise AssertionError("app.run does not return")


def _run_mode(arguments: list[str], overrides: list[Override]) -> None:
    config = None
    if _CONFIG.value is not None:
        config = read_config_flag(_CONFIG.value, overrides)
    elif overrides:
        raise UserError(f"--config.{overrides[0].name} needs --config=FILE.py too")
    if _PRETRAINED.value is not None and _MODE.value != "predict":
        raise UserError("--pretrained is for --mode=predict: name the folder of a run instead")
    if _OUT.value is not None and _MODE.value != "predict":
        raise UserError("--out is for --mode=predict: leave it out")
    # Imported only after the flags have been checked.
    from stn_jax.cache import keep_compiled_programs
    from stn_jax.experiments.cli import modes

    keep_compiled_programs()
    logging.set_verbosity(logging.WARNING)  # the checkpoint library logs a lot
    run: dict[str, Callable[..., None]] = {
        "train": modes.train,
        "eval": modes.evaluate,
        "predict": functools.partial(modes.predict, pretrained=_PRETRAINED.value, out=_OUT.value),
        "report": modes.report,
    }
    run[_MODE.value](config, _WORKDIRS.value, arguments)
