"""Reads the .npz files of a run, which may be damaged."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from stn_jax.errors import UserError


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads all arrays of an .npz file by name; raises UserError if the file is damaged."""
    try:
        with np.load(path) as file:
            return dict(file)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} cannot be read: remove it to continue without it") from error
