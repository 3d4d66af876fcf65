"""Starts the demo as a user does."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.experiments.tiny import PATIENCE, REPOSITORY


@contextlib.contextmanager
def started_demo(**environment: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """Starts the demo, and gives its address and process when it answers; ends it if it runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "stn_jax.experiments.cli", "demo", f"--port={port}"]
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=os.environ | {"JAX_PLATFORMS": "cpu"} | environment,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as server:  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address, server)
            yield address, server
        finally:
            server.kill()


def _wait_for(address: str, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(address).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the demo did not start: {server.stdout.read() if server.poll() else ''}")
