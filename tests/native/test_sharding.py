"""Runs the tests of `on_eight_devices.py` on virtual devices, with and without the kernels."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


# What does not depend on the kernels is tested once.
@pytest.mark.parametrize(
    ("native", "names"),
    [("1", ""), pytest.param("0", "its_own_examples or two_axes", marks=pytest.mark.stress)],
)
def test_sharded_operands_on_eight_devices(native, names):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    tests = Path(__file__).with_name("on_eight_devices.py")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-k", names, str(tests)],
        env=os.environ | {"XLA_FLAGS": flags.strip(), "STN_JAX_NATIVE": native},
        capture_output=True,
        text=True,
        check=False,
        cwd=tests.parents[2],
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-5000:]
