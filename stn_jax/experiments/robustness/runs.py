"""Measures trained runs and writes what came out."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stn_jax.errors import UserError
from stn_jax.experiments.report.runs import read_comparable_configs, short_names
from stn_jax.experiments.robustness.measure import measure
from stn_jax.experiments.robustness.summary import draw, tables
from stn_jax.experiments.training.checkpoints import restore
from stn_jax.experiments.training.parallel import replicate
from stn_jax.experiments.training.setup import make_setup
from stn_jax.experiments.workdir.json_files import json_text
from stn_jax.files import remove_leftovers, write_atomically
from stn_jax.visualization import png_bytes


def write_robustness(workdirs: Sequence[Path], out: Path) -> list[Path]:
    """Writes `robustness.json`, `robustness.md` and `robustness.png` to `out`; returns their paths.

    The newest checkpoint of each run is measured.

    Raises:
        UserError: as in `report.runs.read_runs`, or `out` cannot be written.
    """
    configs = read_comparable_configs(workdirs)
    _check_writable(out)
    runs, lines = [], {}
    for name, workdir, config in zip(short_names(workdirs), workdirs, configs, strict=True):
        _, state = restore(workdir, config)
        step = int(state.step)
        print(f"{workdir}: measuring step {step} ...", file=sys.stderr, flush=True)
        setup = make_setup(config)
        [curves] = measure(setup, replicate(state), config.eval_batch_size)
        lines[name] = [curves]
        named = {"run": name, "network": setup.model_name, "dataset": setup.data.name, "step": step}
        runs.append(named | {"robustness": curves})
    files: dict[str, str | bytes] = {
        "robustness.md": tables(lines),
        "robustness.png": png_bytes(draw(lines)),
        "robustness.json": json_text(runs),
    }
    for name, content in files.items():
        write_atomically(out / name, content)
    return [out / name for name in files]


def _check_writable(out: Path) -> None:
    """Finds out before the long measuring whether its results can be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove_leftovers(out)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise UserError(f"cannot write to --out={out}: {error.strerror}") from error
