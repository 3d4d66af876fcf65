"""Tests of the package as a whole: its modules, their imports and the public names."""

import ast
import graphlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import stn_jax

PACKAGE = Path(stn_jax.__file__).parent
EXTRAS = (
    *("array_record", "gradio", "h5py", "matplotlib", "ml_collections"),
    *(
        "mlxtend",
        "onnx",
        "PIL",
        "tensorboardX",
        "tensorflow",
        "tensorflow_datasets",
        "torch",
        "tqdm",
    ),
)


def modules():
    """Yields the dotted name and the path of each module of the package."""
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(parts).removesuffix(".__init__"), path


def imports(path, *, at_import_time):
    """Yields the modules of the package that a file imports, at the top level or anywhere."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if at_import_time else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stn_jax"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("stn_jax"))


def test_the_library_imports_no_experiment():
    for name, path in modules():
        if name.startswith("stn_jax.experiments"):
            continue
        found = [one for one in imports(path, at_import_time=False) if ".experiments" in one]
        names = ("list_pretrained", "load_pretrained")
        lazily = [f"stn_jax.experiments.pretrained.{one}" for one in names]
        lazily.append("stn_jax.experiments.pretrained")
        assert found == (lazily if name == "stn_jax" else []), name


def test_no_modules_import_each_other():
    known = dict(modules())
    graph = {}
    for name, path in known.items():
        graph[name] = set()
        for target in imports(path, at_import_time=True):
            module = target if target in known else target.rpartition(".")[0]
            if not name.startswith(f"{module}."):  # not a parent package
                graph[name].add(module)
    assert {len(list(graphlib.TopologicalSorter(graph).static_order()))} >= {len(known)}


def test_no_file_is_longer_than_400_lines():
    for pattern in ("**/*.py", "**/*.cc", "**/*.h"):
        for path in PACKAGE.parent.glob(pattern):
            if not any(part.startswith(".") for part in path.relative_to(PACKAGE.parent).parts):
                assert len(path.read_text().splitlines()) <= 400, path


BLOCK = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
"""


def run(code, env=None):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
        env=env,
    )


def test_the_library_works_without_the_extras():
    done = run(
        f"{BLOCK}\nimport jax, numpy as np, stn_jax, stn_jax.functional, stn_jax.nnx\n"
        "from stn_jax.linen import ConvLocalisation\n"
        "images = np.ones((2, 28, 28, 1), np.float32)\n"
        "module = stn_jax.SpatialTransformer(ConvLocalisation(), 'affine')\n"
        "outputs, _ = module.init_with_output(jax.random.key(0), images)\n"
        "print(float(abs(outputs - images).max()))\n"
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-5


EXTRA = ("stn_jax.experiments", "stn_jax.onnx", "stn_jax.visualization")
LIBRARY = [name for name, _ in modules() if not name.startswith(EXTRA)]
WINDOWS = f"""
import importlib, os, sys
import jax, numpy as np, flax.linen, flax.nnx

for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
for name in ("chown", "fork", "geteuid", "getuid", "sched_getaffinity", "uname"):
    delattr(os, name)
sys.platform = "win32"

for module in {LIBRARY}:
    importlib.import_module(module)
import stn_jax
stn_jax.cache.keep_compiled_programs()
image, grid = np.ones((9, 9, 2), np.float32), np.zeros((3, 3, 2), np.float32)
assert jax.jit(jax.grad(lambda *args: stn_jax.sample(*args).sum()))(image, grid).sum() == 18
print(stn_jax.native.status())
"""


def test_the_library_works_without_what_windows_lacks(tmp_path):
    """Simulates it here, as far as possible; JAX itself is imported as on this system."""
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    done = run(WINDOWS, env=environment | {"XDG_CACHE_HOME": str(tmp_path), "STN_JAX_NATIVE": ""})
    assert done.returncode == 0, done.stderr
    assert done.stdout == "C++ kernels: not in use (not supported on win32)\n"
    assert not done.stderr


def test_what_needs_an_extra_names_it():
    done = run(f"{BLOCK}\nimport stn_jax\nstn_jax.load_pretrained")
    assert "ImportError: load_pretrained needs" in done.stderr
    assert "pip install 'stn_jax[experiments]'" in done.stderr
    for command, extra in [
        ("train quickstart", "experiments"),
        ("reproduce svhn", "experiments"),
        ("demo", "demo"),
    ]:
        name, *rest = command.split()
        done = run(
            f"{BLOCK}\nsys.argv = {['stn-jax', name, *rest]}\n"
            "from stn_jax.experiments.cli.__main__ import main\nmain()"
        )
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(f"stn-jax: {name} needs ")
        assert f"pip install 'stn_jax[{extra}]'" in done.stderr


def test_training_does_not_import_drawing():
    drawing = ("stn_jax.visualization", "stn_jax.experiments.run_pictures")
    code = "import sys, stn_jax.experiments.training.loop"
    done = run(f"{code}; print(sorted(set(sys.modules) & {set(drawing)}))")
    assert done.stdout.strip() == "[]", done.stderr
    done = run(f"{code}, stn_jax.experiments.run_pictures; print({drawing[0]!r} in sys.modules)")
    assert done.stdout.strip() == "True", done.stderr  # the test can fail


def test_training_does_not_import_torch():
    pytest.importorskip("torch", reason="torch is not installed")
    done = run(
        "import sys, stn_jax.experiments.cli.modes, stn_jax.experiments.training.loop\n"
        "print('torch' in sys.modules)\n"
        "import torch; print(torch.zeros(2).tolist())"  # what was left out can be imported later
    )
    assert done.stdout.split("\n")[:2] == ["False", "[0.0, 0.0]"], done.stderr


def test_importing_brings_nothing_that_only_extras_need():
    done = run(f"import sys, stn_jax; print(sorted(set(sys.modules) & {set(EXTRAS)}))")
    assert done.stdout.strip() == "[]", done.stderr


def test_the_public_names_are_there():
    assert stn_jax.__all__ == sorted(stn_jax.__all__)
    for name in stn_jax.__all__:
        assert getattr(stn_jax, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'smaple'"):
        stn_jax.smaple  # noqa: B018
    assert stn_jax.__version__[0].isdigit()
    assert (PACKAGE / "py.typed").exists()
