"""The library's functions on this device against JAX's own operations on the CPU.

Values, tangents and gradients are compared, relative to the largest entry. Products are computed in
full float32 on both sides.
"""

import jax
import numpy as np

import stn_jax
from benchmarks import report
from benchmarks.checks import check_agreement
from benchmarks.public_functions import FUNCTIONS, with_derivatives
from benchmarks.settings import Settings

TITLE = "Agreement with the CPU"
_TOLERANCE = 1e-4


def measure(settings: Settings, earlier: dict) -> list[dict]:
    """Returns a record for each function.

    Raises:
        WrongResult: a result differs by more than the tolerance.
    """
    del earlier
    records = []
    for name, (function, shapes) in FUNCTIONS.items():
        rng = np.random.default_rng(0)
        operands = [rng.normal(size=x.shape).astype(x.dtype) for x in shapes]
        run = jax.jit(with_derivatives(function))
        with jax.default_matmul_precision("highest"):
            here = _arrays(run(*operands))
            with jax.default_device(jax.devices("cpu")[0]), stn_jax.plain_operations():
                on_cpu = _arrays(run(*operands))
        differences = check_agreement(name, on_cpu, here, dict.fromkeys(here, _TOLERANCE))
        records.append({"function": name, "differences": differences})
    settings.say(f"{len(records)} functions agree with the CPU to {_TOLERANCE:.0e}")
    return records


def _arrays(results: dict) -> dict[str, np.ndarray]:
    """Returns all arrays by the path that leads to them."""
    leaves, _ = jax.tree.flatten_with_path(results)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def markdown(records: list[dict]) -> str:
    """Returns a table with the largest difference of each function."""
    rows = [
        [record["function"], f"{max(record['differences'].values()):.1e}"] for record in records
    ]
    return report.table(["function", "largest difference"], rows)
