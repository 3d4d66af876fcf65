"""Where the configs of `configs/` are: in a checkout or in an installed package."""

from pathlib import Path

from stn_jax.errors import UserError, check_choice

_TABLE = "table_"


def configs_folder() -> Path:
    """Returns the folder of the configs: a wheel has it in this package, a checkout at its top.

    Raises:
        UserError: there is none.
    """
    here = Path(__file__).resolve()
    for folder in (here.parent / "configs", here.parents[2] / "configs"):
        if (folder / "quickstart.py").exists():
            return folder
    raise UserError(f"the configs are not in {here.parent}: install the package again")


def config_names() -> list[str]:
    """Returns the names of the configs that can be trained."""
    paths = configs_folder().glob("[!_]*.py")
    return sorted(path.stem for path in paths if not path.name.startswith(_TABLE))


def config_path(name: str) -> Path:
    """Returns the file of a config, which is given by its name or by the path of a file.

    Raises:
        UserError: there is no config of that name.
    """
    if name.endswith(".py"):
        return Path(name)
    check_choice(name, config_names(), "config")
    return configs_folder() / f"{name}.py"


def table_paths() -> dict[str, Path]:
    """Returns the files of the paper's tables by the tables' names."""
    paths = sorted(configs_folder().glob(f"{_TABLE}*.py"))
    return {path.stem.removeprefix(_TABLE): path for path in paths}
