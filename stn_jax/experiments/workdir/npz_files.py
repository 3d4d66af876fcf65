"""Reads the .npz files of a run, which may be damaged."""

from pathlib import Path

import numpy as np

from stn_jax.errors import UserError


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads all arrays of an .npz file by name; raises UserError if the file cannot be read."""
    try:
        with np.load(path) as file:
            return dict(file)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    # NumPy and zipfile do not document what they raise for damaged files.
    except Exception as error:
        raise UserError(f"{path} cannot be read: remove it to continue without it") from error
