"""Runs to report on, trained once."""

import pytest

from stn_jax.training.loop import train_and_evaluate
from tests.browser import browser
from tests.training.tiny import tiny_config

__all__ = ["browser"]


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folders of two runs on rotated digits: one with a transformer and one without."""
    folder = tmp_path_factory.mktemp("trained")
    workdirs = [folder / "with & <without>", folder / "without"]
    for workdir, variant in zip(workdirs, ("st_fcn_affine", "fcn"), strict=True):
        train_and_evaluate(tiny_config(variant, num_epochs=1.0, eval_every_epochs=1.0), workdir)
    return workdirs
