import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def public_folder():
    """A folder that others can read, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
