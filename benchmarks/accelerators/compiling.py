"""Compiles a program in a process of its own, or finds its cost in the cache.

A TPU's compiler takes 10 to 200 seconds for a program. Costs are stored by what was lowered, the
versions of the compilers and the code that adds up the cost, so only what has changed is compiled.
Command: python -m benchmarks.accelerators.compiling PLATFORM PROGRAM
"""

import hashlib
import importlib.metadata
import inspect
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.accelerators import bundles, costs, hlo, platforms
from benchmarks.accelerators.platforms import PACKAGES, PLATFORMS
from benchmarks.accelerators.programs import Program, Sampling, Step
from benchmarks.weak_scaling import collectives
from benchmarks.workloads import Workload
from stn_jax.cache import cache_folder

_KINDS = {"Sampling": Sampling, "Step": Step}


def cost(platform: str, program: Program, *, timeout: float, keep: Path | None = None) -> dict:
    """Returns the cost of a program on a platform, or {"error": one line}.

    Args:
        platform: a key of `PLATFORMS`.
        program: what to compile.
        timeout: the most seconds to compile.
        keep: a file to write the text of the compiled program to; it is then always compiled.
    """
    described = json.dumps([type(program).__name__, program])
    with tempfile.TemporaryDirectory() as dump:
        try:
            run = subprocess.run(
                [sys.executable, "-m", __name__, platform, described, dump, str(keep or "")],
                env=platforms.environment(Path(dump)),
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"error": f"not compiled within {timeout:.0f} s"}
    if run.returncode:
        return {"error": run.stderr.strip().splitlines()[-1][:200]}
    return json.loads(run.stdout.splitlines()[-1])


def _main(platform: str, described: str, dump: str, keep: str) -> None:
    kind, fields = json.loads(described)
    program = _KINDS[kind](*(Workload(*x) if isinstance(x, list) else x for x in fields))
    count = program.devices if isinstance(program, Step) else 1
    lowered = program.lower(platforms.devices(platform, count))
    stored = cache_folder() / "accelerators" / f"{_key(platform, lowered.as_text())}.json"
    if stored.exists() and not keep:
        print(stored.read_text())
        return
    compiled = lowered.compile()
    text = compiled.as_text() or ""
    if PLATFORMS[platform].name == "tpu":
        found = costs.tpu_cost(text, _kernels(Path(dump)), PLATFORMS[platform].clock)
    else:
        found = costs.gpu_cost(text)
    found |= {"temporary bytes": compiled.memory_analysis().temp_size_in_bytes}
    found |= collectives(text)
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.write_text(json.dumps(found))
    if keep:
        Path(keep).write_text(text)
    print(json.dumps(found))


def _key(platform: str, lowered: str) -> str:
    packages = ("jax", "jaxlib", *PACKAGES[PLATFORMS[platform].name])
    versions = [importlib.metadata.version(name) for name in packages]
    code = map(inspect.getsource, (hlo, bundles, costs, platforms))
    content = json.dumps([platform, lowered, versions, *code])
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _kernels(dump: Path) -> dict[str, str]:
    """Returns the final bundles of all kernels by name."""
    found = {}
    for path in dump.glob("*-final_bundles.txt"):
        if name := re.match(r"\d+-(.*)-\d+-final_bundles", path.name):
            found[name[1]] = path.read_text()
    return found


if __name__ == "__main__":
    _main(*sys.argv[1:])
