from pathlib import Path

import pytest

from stn_jax.experiments.traffic_signs.gtsrb.archives import ARCHIVES
from tests.experiments.traffic_signs.archives import write_archives

REAL = Path(__file__).parents[4] / "shared" / "gtsrb32"


@pytest.fixture(scope="session")
def archives(tmp_path_factory):
    return write_archives(tmp_path_factory.mktemp("archives"))


@pytest.fixture(scope="session")
def real_archives():
    if not all((REAL / name).is_file() for names in ARCHIVES.values() for name in names):
        pytest.skip(f"GTSRB's archives are not in {REAL}")
    return REAL
