from pathlib import Path

import pytest

from stn_jax.experiments.distorted_mnist import idx_files

ARCHIVES = Path(__file__).parents[4] / "shared" / "mnist"


@pytest.fixture(scope="session")
def mnist_archives():
    if not all((ARCHIVES / name).is_file() for name in idx_files.ARCHIVES):
        pytest.skip(f"the MNIST archives are not in {ARCHIVES}")
    return ARCHIVES
