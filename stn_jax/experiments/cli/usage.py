"""What `-h` and `--help` print."""

import ast
import inspect
from typing import TYPE_CHECKING

from stn_jax.experiments.shipped_configs import config_names, configs_folder
from stn_jax.experiments.user_paths import user_path

if TYPE_CHECKING:
    from stn_jax.experiments.cli.config_flag import Override

USAGE = """\
usage: stn-jax train CONFIG[:VARIANT] [--workdir=DIR] [--config.key=value ...]
       stn-jax train ... --coordinator=HOST:PORT|auto [--num_processes=N --process_id=I]
       stn-jax eval --workdir=DIR
       stn-jax predict --workdir=DIR [--top=N] [--out=DIR|FILE] IMAGE|FOLDER ...
       stn-jax predict --pretrained=NAME [--out=DIR [--save-crops]] IMAGE|FOLDER ...
       stn-jax export --workdir=DIR --format=jax|onnx|folder [--out=DIR]
       stn-jax export --pretrained=NAME --format=jax|onnx|folder [--out=DIR]
       stn-jax report --workdir=DIR [--workdir=DIR2 ...] [--output=FILE]
       stn-jax robustness --workdir=DIR [--workdir=DIR2 ...] [--out=DIR]
       stn-jax reproduce [TABLE] [--budget=BUDGET] [--rows=PATTERN] ...
       stn-jax demo [--workdir=DIR] [--port=PORT]

CONFIG is the name of a config that comes with the package, such as quickstart or
svhn_multi:synthetic_small, or the path of a .py file.
"""


def configs_help() -> str:
    """Returns the configs that come with the package, each with the first line of its docstring."""
    lines = ["configs (add --help after one to see its variants and settings):"]
    for name in config_names():
        source = (configs_folder() / f"{name}.py").read_text("utf-8")
        about = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
        lines.append(f"  {name:<14}{about}")
    return "\n".join(lines)


def config_help(flag: str, overrides: "list[Override]") -> str:
    """Returns the docstring of a config, its variants and its settings with what each can be.

    Raises:
        UserError: as `read_config_flag`.
    """
    # Imported only if there is a config, because these need an extra and bring all of JAX.
    from stn_jax.experiments.cli.config_flag import function_of, read_config_flag
    from stn_jax.experiments.config_check import fields_of, flat_settings
    from stn_jax.experiments.tasks import find_task

    config = read_config_flag(flag, overrides)
    path = user_path(flag.partition(":")[0], "--config")
    get_config = function_of(path)
    lines = [inspect.cleandoc(get_config.__globals__.get("__doc__") or str(path)), ""]
    is_shipped = path.resolve().parent == configs_folder().resolve()
    if is_shipped and inspect.signature(get_config).parameters:
        lines.append("variants, joined by commas, such as CONFIG:WORD,WORD; one of each line:")
        lines += [f"  {', '.join(words)}" for words in find_task(config).VARIANTS]
        lines.append("")
    lines.append("settings, as --config.KEY=VALUE:")
    fields, settings = fields_of(config), dict(flat_settings(config))
    for name, field in sorted(fields.items()):
        if name in settings:
            lines.append(f"  {name} = {settings[name]!r}: {field}")
    return "\n".join(lines)
