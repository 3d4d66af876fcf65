"""What other packages compute, kept in files for checkouts without these packages."""

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def name_of(kind: str, *case) -> str:
    """Returns the name of a case in a file."""
    return "/".join(map(str, (kind, *case)))


@functools.cache
def load(path: Path) -> dict[str, np.ndarray]:
    """Returns all values of a file by name."""
    with np.load(path) as file:
        return dict(file)


def assert_kept(path: Path, computed: Mapping[str, np.ndarray]) -> None:
    """Asserts that a file holds exactly these values, up to rounding."""
    kept = load(path)
    assert computed.keys() == kept.keys()
    for name, value in computed.items():
        np.testing.assert_allclose(kept[name], value, atol=1e-5, err_msg=name)
