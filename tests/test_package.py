import subprocess
import sys

import stn_jax


def test_importing_brings_no_tensorflow_no_datasets_and_no_plots():
    code = (
        "import sys, stn_jax; "
        "print(sorted(set(sys.modules) & "
        "{'tensorflow', 'tensorflow_datasets', 'mlxtend', 'matplotlib', 'chex', 'torch'}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stdout.strip() == "[]"


def test_the_public_names_are_there():
    assert stn_jax.__all__ == sorted(stn_jax.__all__)
    for name in stn_jax.__all__:
        assert getattr(stn_jax, name).__doc__
