"""Preparing data where nothing is imported yet."""

import subprocess
import sys


def prepare_in_fresh_process(imports: str, call: str) -> str:
    """Runs `imports`, then `call`, in a process of its own, and returns its stderr.

    The imports bring neither tfds nor mlxtend, the call no TensorFlow and no progress bars.
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
