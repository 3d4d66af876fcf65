"""What all tests share."""

import os

from tests.browser import browser

__all__ = ["browser"]  # one for all: Playwright bears no second one in a process


def pytest_configure(config):
    """Compiles each program once, whichever test, process or run asks for it.

    And in a third of the time, by leaving the machine code as it comes: a test runs most programs
    a few times. CI's main job is compiled as for users.
    """
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
    cache = config.cache.mkdir("jax") if config.cache else None
    if cache is not None:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
