"""Configuration that all tests share."""

import os
import socket

import hypothesis
import pytest

from tests.browser import browser

__all__ = ["browser"]  # one for all tests: Playwright allows only one per process

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("stn_jax", deadline=None)
hypothesis.settings.load_profile("stn_jax")


def pytest_configure(config):
    """Compiles each program once, whichever test, process or run needs it.

    Compilation also takes a third of the time, because machine code is not optimised: a test runs
    most programs only a few times. CI's main job compiles as users do, and CI runs `tests/native`
    once more with XLA_FLAGS empty.
    """
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
    if config.pluginmanager.has_plugin("cacheprovider"):
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(config.cache.mkdir("jax")))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")


@pytest.fixture(scope="session", autouse=True)
def _attempts():
    """Cuts this process off from the network; returns the list of attempts to reach it."""
    attempts = []
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def is_here(host):
        return host in (None, "", "localhost", "::1") or str(host).startswith("127.")

    def connect_here(self, address):
        if isinstance(address, tuple) and not is_here(address[0]):
            attempts.append(address)
            raise OSError("Network is unreachable")
        return connect(self, address)

    def resolve_here(host, *rest, **options):
        if not is_here(host):
            attempts.append(host)
            raise socket.gaierror("Name or service not known")
        return resolve(host, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_here)
        patch.setattr(socket, "getaddrinfo", resolve_here)
        yield attempts


@pytest.fixture(autouse=True)
def _no_test_reaches_for_the_network(_attempts):
    """Fails a test that tries; tests about a missing network replace these functions themselves."""
    _attempts.clear()
    yield
    assert not _attempts
