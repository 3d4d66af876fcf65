"""The command `stn-jax`."""

import importlib
import sys
from typing import NoReturn

from stn_jax.experiments.cli.exits import reported
from stn_jax.experiments.cli.parser import escape_unencodable_output, fail
from stn_jax.experiments.cli.usage import USAGE, configs_help

_MODULES = {
    **dict.fromkeys(
        ("train", "eval", "predict", "export", "report"), "stn_jax.experiments.cli.flags"
    ),
    "robustness": "stn_jax.experiments.robustness.command",
    "reproduce": "stn_jax.experiments.reproduce.command",
    "demo": "stn_jax.experiments.demo.command",
}


def main() -> NoReturn:
    """Runs the subcommand that `sys.argv` names; exits with code 2 on wrong usage."""
    escape_unencodable_output()
    command, *arguments = sys.argv[1:] or ["--help"]
    if command in ("-h", "--help"):
        print(f"{USAGE}\n{configs_help()}")
        sys.exit(0)
    if command not in _MODULES:
        fail("stn-jax", f"unknown command {command!r} (commands: {', '.join(_MODULES)})")
    try:
        sys.exit(_run(command, arguments))
    except ModuleNotFoundError as error:
        extra = "demo" if command == "demo" else "experiments"
        fail(
            "stn-jax",
            f"{command} needs {error.name}, which is not installed: pip install 'stn_jax[{extra}]'",
        )


def _run(command: str, arguments: list[str]) -> int:
    module = importlib.import_module(_MODULES[command])
    if command in ("robustness", "reproduce", "demo"):
        with reported("stn-jax"):
            return module.main(arguments)
    program = f"stn-jax {command}"
    if command == "train" and not module.HELP.intersection(arguments[:1]):
        arguments = _with_config_path(program, arguments)
    return module.launch([program, f"--mode={command}", *arguments], program)


def _with_config_path(program: str, arguments: list[str]) -> list[str]:
    """Replaces the name of the config, which is the first argument, with a flag with its path."""
    from stn_jax.errors import UserError
    from stn_jax.experiments.shipped_configs import config_names, config_path

    try:
        if not arguments or arguments[0].startswith("-"):
            raise UserError(f"name a config first (configs: {', '.join(config_names())})")
        name, colon, variant = arguments[0].partition(":")
        return [f"--config={config_path(name)}{colon}{variant}", *arguments[1:]]
    except UserError as error:
        fail(program, str(error))


if __name__ == "__main__":
    main()
