"""Reads `--config=FILE.py[:VARIANT]` and the settings that `--config.KEY=VALUE` changes."""

import difflib
import inspect
import re
import runpy
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from stn_jax.errors import UserError, one_line, shown
from stn_jax.experiments.shipped_configs import config_names, configs_folder
from stn_jax.experiments.user_paths import user_path

_OVERRIDE = re.compile(r"--?(no)?config\.([^=]*)(?:=(.*))?", re.DOTALL)


class Override(NamedTuple):
    """A setting on the command line."""

    name: str  # dotted
    text: str | None  # None: the name stood alone, as switches may


def take_overrides(arguments: list[str]) -> tuple[list[str], list[Override]]:
    """Splits `--config.KEY=VALUE`, `--config.KEY VALUE` and `--[no]config.KEY` from the rest."""
    rest: list[str] = []
    overrides: list[Override] = []
    remaining = iter(range(len(arguments)))
    for place in remaining:
        argument = arguments[place]
        if argument == "--":
            return rest + arguments[place:], overrides
        matched = _OVERRIDE.fullmatch(argument)
        if matched is None:
            rest.append(argument)
            continue
        no, name, text = matched.groups()
        following = arguments[place + 1 : place + 2]
        if no:
            text = "false"
        elif text is None and following and not following[0].startswith("--"):
            text = following[0]
            next(remaining)
        overrides.append(Override(name, text))
    return rest, overrides


def read_config_flag(flag: str, overrides: list[Override]) -> ConfigDict:
    """Returns the config of a file with some settings changed, checked as a whole.

    Args:
        flag: the path of a Python file that defines `get_config()`, or that path, a colon and the
            variant that `get_config` takes.
        overrides: the settings to change; the last one of a name wins.

    Raises:
        UserError: the file cannot be read or run, or a setting is unknown or out of range.
    """
    # Imported only if there is a config, because this brings all of JAX.
    from stn_jax.experiments.config_check import check_config, fields_of, unknown_setting
    from stn_jax.experiments.config_fields import Switch

    path, colon, variant = flag.partition(":")
    config = _load(user_path(path, "--config"), [variant] if colon else [])
    fields = fields_of(config)
    values: dict[str, Any] = {}
    for name, text in overrides:
        if name not in fields:
            raise UserError(unknown_setting(name, fields, config.task))
        if text is None:
            if not isinstance(fields[name], Switch):
                raise UserError(f"config.{name} needs a value: --config.{name}=VALUE")
            text = "true"
        values[name] = fields[name].read(f"config.{name}", text)
    if values.get("task", config.task) != config.task:
        raise UserError(f"config.task of {path} is {config.task!r}: name another --config instead")
    with config.ignore_type(), config.unlocked():
        config.update_from_flattened_dict(values)
    check_config(config)
    return config


def function_of(path: Path) -> Callable[..., Any]:
    """Returns `get_config` of a file; raises UserError if there is none."""
    if not path.is_file():
        if path.exists():
            raise UserError(f"--config: {path} is not a file: name a .py file")
        raise UserError(f"--config: {path} does not exist: {_nearest(path)}")
    get_config = _guarded(path, lambda: runpy.run_path(str(path)).get("get_config"))
    if not callable(get_config):
        raise UserError(f"--config: {path} has no function get_config(), so it is not a config")
    return get_config


def _nearest(path: Path) -> str:
    """Returns which config was probably meant, and which there are."""
    names, folder = config_names(), configs_folder()
    folder = folder.relative_to(Path.cwd()) if Path.cwd() in folder.parents else folder
    found = {name: folder / f"{name}.py" for name in names}
    found |= {other.stem: other for other in path.parent.glob("*.py")}
    near = difflib.get_close_matches(path.stem.lower()[:100], found, n=1)
    meant = f"did you mean {found[near[0]]}? " if near else ""
    return f"{meant}(in {folder}: {', '.join(names)})"


def _load(path: Path, variant: list[str]) -> ConfigDict:
    get_config = function_of(path)
    try:
        inspect.signature(get_config).bind(*variant)
    except TypeError as error:
        problem = "takes no variant: leave out what follows the colon"
        if not variant:
            problem = f"needs a variant: --config={path}:VARIANT"
        raise UserError(f"--config: {path} {problem}") from error
    made = _guarded(path, lambda: get_config(*variant))
    if not isinstance(made, Mapping | ConfigDict):
        raise UserError(
            f"--config: get_config() of {path} must return a ConfigDict, got {shown(made)}"
        )
    return _guarded(path, lambda: ConfigDict(ConfigDict(made).to_dict()))


def _guarded(path: Path, run):
    """Returns `run()`; an exception in the file `path` becomes a message that says where."""
    try:
        return run()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path)]
        reason = one_line(error)
        if isinstance(error, SyntaxError) and error.filename == str(path):
            lines, reason = [error.lineno], error.msg
        where = f"{path}, line {lines[-1]}" if lines else f"{path}"
        raise UserError(f"--config: {where}: {type(error).__name__}: {reason[:300]}") from error
