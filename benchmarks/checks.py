"""Whether two results agree. A wrong result fails the run, a slow one never does."""

from collections.abc import Mapping

import numpy as np


class WrongResult(Exception):
    """Two ways to compute the same disagree. One line: which, and by how much."""


def check_agreement(
    what: str,
    ours: Mapping[str, np.ndarray],
    theirs: Mapping[str, np.ndarray],
    tolerances: Mapping[str, float],
) -> None:
    """Compares what is in both, entry by entry, with the largest entry of `ours` as the unit.

    Args:
        what: for the message.
        ours: arrays by name.
        theirs: arrays by name.
        tolerances: by name.

    Raises:
        WrongResult: on a disagreement, another shape, or values that are not finite.
    """
    for name in ours.keys() & theirs.keys():
        a, b = np.asarray(ours[name], np.float64), np.asarray(theirs[name], np.float64)
        if a.shape != b.shape:
            raise WrongResult(f"{what}: {name} has shape {b.shape} in place of {a.shape}")
        error = np.abs(a - b).max() / max(np.abs(a).max(), 1e-30)
        if not error <= tolerances[name]:
            raise WrongResult(
                f"{what}: {name} differs from ours by {error:.1e} of the largest entry, more than "
                f"{tolerances[name]:.0e}"
            )
