"""The flags of `launch.py` and of `stn-jax train`, `eval`, `predict`, `export` and `report`."""

import functools
import sys
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags, logging

from stn_jax.errors import UserError
from stn_jax.experiments.cli import parser, usage
from stn_jax.experiments.cli.config_flag import Override, read_config_flag, take_overrides
from stn_jax.experiments.cli.exits import reported
from stn_jax.experiments.training import hosts

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
    "A network that comes with the package, or the folder of an exported one, instead of a run.",
)
_OUT = flags.DEFINE_string(
    "out",
    None,
    "For --mode=predict: FILE.csv, FILE.json, or a folder for both and a picture of each answer. "
    "For --mode=export: a folder (default: exported in the run's folder, or exported/NAME).",
)
_TOP = flags.DEFINE_integer("top", 3, "How many answers for each image.", lower_bound=1)
_SAVE_CROPS = flags.DEFINE_bool(
    "save-crops", False, "Whether to save what the transformer made of each image, in --out=DIR."
)
_FORMAT = flags.DEFINE_string("format", None, "What --mode=export writes: jax, onnx or folder.")
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "The file that --mode=report writes (default: report.html in the run's folder, or, of several "
    "runs, comparison.html in the first one's).",
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator",
    None,
    "To train in several processes: HOST:PORT of process 0, or auto on a TPU pod, Slurm, Open MPI "
    "or Kubernetes.",
)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "The number of processes.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "The number of this process, from 0.")
HELP = frozenset(("-h", "-help", "--help"))
MODES = ("train", "eval", "predict", "export", "report")
_ONLY_FOR = {
    "pretrained": ("predict", "export"),
    "out": ("predict", "export"),
    "top": ("predict",),
    "save-crops": ("predict",),
    "format": ("export",),
    "output": ("report",),
}
"""The modes that a flag is for, if these are not all."""

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
            if HELP.intersection(argv):
                _print_help(program, argv, overrides)
                sys.exit(0)
            return flags.FLAGS(argv)
        except flags.UnrecognizedFlagError as error:
            fail(_unknown(error))
        except (flags.Error, OSError, ValueError) as error:
            fail(error)

    with hosts.leaving_when_failed(), reported(program):
        app.run(
            lambda argv: _run_mode(program, argv[1:], overrides),
            argv=argv,
            flags_parser=parse_flags,
        )
    raise AssertionError("app.run does not return")


def _print_help(program: str, argv: list[str], overrides: list[Override]) -> None:
    flags.FLAGS([argument for argument in argv if argument not in HELP])
    if _CONFIG.value is not None:
        print(usage.config_help(_CONFIG.value, overrides))
        return
    commands = usage.USAGE if program != "launch.py" else sys.modules["__main__"].__doc__ or ""
    print(f"{commands.rstrip()}\n\n{usage.configs_help()}")


def _unknown(error: flags.UnrecognizedFlagError) -> str:
    """Returns a message that names the setting that was probably meant."""
    from stn_jax.experiments.config_check import SHARED_FIELDS
    from stn_jax.experiments.tasks import TASKS

    names = SHARED_FIELDS.keys() | {name for task in TASKS.values() for name in task.FIELDS}
    meant = [name for name in sorted(names) if name.endswith(f".{error.flagname}")]
    if error.flagname in names:
        meant = [error.flagname]
    if not meant:
        return str(error)
    flag, settings = error.flagname, " or ".join(f"--config.{name}" for name in meant)
    return f"unknown flag --{flag}: did you mean {settings}?"


def _run_mode(program: str, arguments: list[str], overrides: list[Override]) -> None:
    config = None
    if _CONFIG.value is not None:
        config = read_config_flag(_CONFIG.value, overrides)
    elif overrides:
        raise UserError(f"--config.{overrides[0].name} needs --config=FILE.py too")
    for name, of in _ONLY_FOR.items():
        if flags.FLAGS[name].present and _MODE.value not in of:
            raise UserError(f"--{name} is for --mode={' and --mode='.join(of)}: leave it out")
    logging.set_verbosity(logging.WARNING)  # JAX and the checkpoint library log a lot
    _join_the_other_processes(program)
    # Imported only after the flags have been checked.
    from stn_jax.cache import keep_compiled_programs
    from stn_jax.experiments.cli import modes

    keep_compiled_programs()
    run: dict[str, Callable[..., None]] = {
        "train": modes.train,
        "eval": modes.evaluate,
        "predict": functools.partial(
            modes.predict,
            pretrained=_PRETRAINED.value,
            out=_OUT.value,
            top=_TOP.value,
            save_crops=_SAVE_CROPS.value,
        ),
        "export": functools.partial(
            modes.export, pretrained=_PRETRAINED.value, to=_FORMAT.value, out=_OUT.value
        ),
        "report": functools.partial(modes.report, output=_OUTPUT.value),
    }
    run[_MODE.value](config, _WORKDIRS.value, arguments)


def _join_the_other_processes(program: str) -> None:
    coordinator, others = _COORDINATOR.value, (_NUM_PROCESSES.value, _PROCESS_ID.value)
    if coordinator is None:
        if others != (None, None):
            raise UserError("--num_processes and --process_id need --coordinator=HOST:PORT too")
    elif _MODE.value != "train":
        raise UserError("--coordinator is for --mode=train: other modes use one process")
    else:
        hosts.join(program, coordinator, *others)
