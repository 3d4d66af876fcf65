import os

import pytest

from stn_jax.experiments.training.environment import environment


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
def test_the_device_tells_the_cores_that_the_process_may_use():
    allowed = os.sched_getaffinity(0)
    assert environment()["device"].endswith(f" x cpu (cores: {len(allowed)})")
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert environment()["device"].endswith(" x cpu (cores: 1)")
    finally:
        os.sched_setaffinity(0, allowed)
