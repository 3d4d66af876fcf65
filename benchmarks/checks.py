"""Checks that two results agree. A wrong result fails the run; a slow one does not."""

from collections.abc import Mapping

import numpy as np


class WrongResult(Exception):
    """Raised when two computations of the same result disagree.

    The message is one line that says which of them disagree and by how much.
    """


def check_agreement(
    what: str,
    ours: Mapping[str, np.ndarray],
    theirs: Mapping[str, np.ndarray],
    tolerances: Mapping[str, float],
) -> dict[str, float]:
    """Compares the arrays that are in both, relative to the largest entry of ours.

    Args:
        what: what is compared, for the message.
        ours: our arrays by name.
        theirs: the peer's arrays by name.
        tolerances: the largest relative error by name.

    Returns:
        The relative errors by name.

    Raises:
        WrongResult: arrays differ by more than the tolerance or in their shape, or are not finite.
    """
    errors = {}
    for name in ours.keys() & theirs.keys():
        a, b = np.asarray(ours[name], np.float64), np.asarray(theirs[name], np.float64)
        if a.shape != b.shape:
            raise WrongResult(f"{what}: {name} has shape {b.shape} instead of {a.shape}")
        error = np.abs(a - b).max() / max(np.abs(a).max(), 1e-30)
        if not error <= tolerances[name]:
            raise WrongResult(
                f"{what}: {name} differs from ours by {error:.1e} of the largest entry, more than "
                f"{tolerances[name]:.0e}"
            )
        errors[name] = float(error)
    return errors
