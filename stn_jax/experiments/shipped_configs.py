"""Finds the configs of `configs/`, in a checkout or in an installed package."""

from pathlib import Path

from stn_jax.errors import UserError, check_choice

_TABLE = "table_"


def configs_folder() -> Path:
    """Returns the folder of the configs: in this package for a wheel, at the top for a checkout.

    Raises:
        UserError: if there is none.
    """
    here = Path(__file__).resolve()
    for folder in (here.parent / "configs", here.parents[2] / "configs"):
        if (folder / "quickstart.py").exists():
            return folder
    raise UserError(f"the configs are not in {here.parent}: reinstall the package")


def config_names() -> list[str]:
    """Returns the names of the configs that can be trained."""
    paths = configs_folder().glob("[!_]*.py")
    return sorted(path.stem for path in paths if not path.name.startswith(_TABLE))


def config_path(name: str) -> Path:
    """Returns the path of a config, given its name or the path of its file.

    Raises:
        UserError: if there is no config of that name.
    """
    if name.endswith(".py"):
        return Path(name)
    check_choice(name, config_names(), "config")
    return configs_folder() / f"{name}.py"


def table_paths() -> dict[str, Path]:
    """Returns the config files of the paper's tables, by the name of the table."""
    paths = sorted(configs_folder().glob(f"{_TABLE}*.py"))
    return {path.stem.removeprefix(_TABLE): path for path in paths}
