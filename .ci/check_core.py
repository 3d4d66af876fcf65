"""Uses the installed library as the README's first examples do, with jax, numpy and flax alone.

Run it outside the repository, in an environment with the installed package.
"""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]

for extra in ("ml_collections", "tensorflow_datasets", "matplotlib", "PIL", "h5py"):
    assert importlib.util.find_spec(extra) is None, f"{extra} is installed: this is no test"

import stn_jax  # noqa: E402
import stn_jax.nnx  # noqa: E402

assert not Path(stn_jax.__file__).is_relative_to(ROOT), "this is not the installed package"
names: dict = {}
for example in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[:2]:
    exec(example, names)
np.testing.assert_allclose(names["outputs"], names["images"], atol=1e-5)

message = ""
try:
    stn_jax.load_pretrained  # noqa: B018
except ImportError as error:
    message = str(error)
assert "pip install 'stn_jax[experiments]'" in message, message
run = subprocess.run(
    [Path(sys.executable).with_name("stn-jax"), "train", "quickstart"],
    capture_output=True,
    text=True,
    check=False,
)
assert run.returncode == 2, run
assert run.stderr.count("\n") == 1 and "stn_jax[experiments]" in run.stderr, run.stderr
print(f"stn_jax {stn_jax.__version__} works with jax, numpy and flax alone")
