"""Preparation of data in a process that has imported nothing yet."""

import subprocess
import sys


def prepare_in_fresh_process(imports: str, call: str) -> str:
    """Runs `imports`, then `call`, in a separate process, and returns its stderr.

    Fails if the imports load tfds or mlxtend, or if the call loads TensorFlow or shows progress
    bars.
    """
    code = (
        f"import sys; {imports}\n"
        "assert not {'tensorflow_datasets', 'mlxtend'} & set(sys.modules)\n"
        f"{call}\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert run.returncode == 0, run.stderr
    for rate in ("it/s", "examples/s", "pictures/s"):
        assert rate not in run.stderr, run.stderr
    return run.stderr
