"""Compiles programs in a process of their own, or finds their costs in the cache.

A TPU's compiler takes 10 to 200 seconds for a program. Costs are stored by what was lowered, the
versions of the compilers and the code that adds up the cost, so only what has changed is compiled.
Such a process is python -m benchmarks.accelerators.compiling PLATFORM FOLDER
"""

import hashlib
import importlib.metadata
import inspect
import json
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.accelerators import bundles, costs, hlo, platforms
from benchmarks.accelerators.platforms import PACKAGES, PLATFORMS
from benchmarks.accelerators.programs import Program, Sampling, Step
from benchmarks.communication import collectives
from benchmarks.workloads import Workload
from stn_jax.cache import cache_folder

_KINDS = {"Sampling": Sampling, "Step": Step}


def estimates(platform: str, programs: Sequence[Program], *, timeout: float) -> Iterator[dict]:
    """Yields the cost of each program on a platform, or {"error": one line}.

    Args:
        platform: a key of `PLATFORMS`.
        programs: what to compile.
        timeout: the most seconds for one program.
    """
    remaining = list(programs)
    while remaining:
        for found in _in_process(platform, tuple(remaining), timeout):
            remaining.pop(0)
            yield found
        if remaining:
            program = remaining.pop(0)
            yield {"error": f"the compiler failed, or took over {timeout:.0f} s: {program}"}


def _in_process(platform: str, programs: Sequence[Program], timeout: float) -> Iterator[dict]:
    """Yields the cost of each program, up to the first one that fails."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, platform, folder],
            env=platforms.environment(Path(folder)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin and process.stdout
        try:
            for program in programs:
                watchdog = threading.Timer(timeout, process.kill)
                watchdog.start()
                try:
                    print(_write(program), file=process.stdin, flush=True)
                    line = process.stdout.readline()
                except BrokenPipeError:
                    return
                finally:
                    watchdog.cancel()
                if not line:
                    return
                yield json.loads(line)
        finally:
            process.kill()
            process.wait()


def _write(program: Program) -> str:
    return json.dumps([type(program).__name__, program])


def _read(line: str) -> Program:
    kind, fields = json.loads(line)
    return _KINDS[kind](*(Workload(*x) if isinstance(x, list) else x for x in fields))


def _main(platform: str, folder: str) -> None:
    """Prints the cost of each program that is written to the standard input."""
    for line in sys.stdin:
        try:
            found = estimate(platform, _read(line), Path(folder))
        except Exception as error:  # the other programs can still be compiled
            found = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        print(json.dumps(found), flush=True)


def estimate(platform: str, program: Program, folder: Path) -> dict:
    """Returns the cost of a program; TPU kernels are written to `folder` meanwhile."""
    count = program.devices if isinstance(program, Step) else 1
    lowered = program.trace(platforms.devices(platform, count)).lower()
    stored = cache_folder() / "accelerators" / f"{_key(platform, lowered.as_text())}.json"
    if stored.exists():
        return json.loads(stored.read_text())
    compiled = lowered.compile()
    text = compiled.as_text() or ""
    if PLATFORMS[platform].name == "tpu":
        found = costs.tpu_cost(text, _kernels(folder), PLATFORMS[platform].clock)
    else:
        found = costs.gpu_cost(text)
    found |= {"temporary bytes": compiled.memory_analysis().temp_size_in_bytes}
    found |= collectives(text)
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.write_text(json.dumps(found))
    stored.with_suffix(".txt").write_text(text)
    return found


def _key(platform: str, lowered: str) -> str:
    packages = ("jax", "jaxlib", *PACKAGES[PLATFORMS[platform].name])
    versions = [importlib.metadata.version(name) for name in packages]
    code = map(inspect.getsource, (hlo, bundles, costs, platforms))
    content = json.dumps([platform, lowered, versions, *code])
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _kernels(folder: Path) -> dict[str, str]:
    """Returns the final bundles of all kernels by name, and removes the compiler's files."""
    found = {}
    for path in folder.iterdir():
        if name := re.match(r"\d+-(.*)-\d+-final_bundles", path.name):
            found[name[1]] = path.read_text()
        path.unlink()
    return found


if __name__ == "__main__":
    _main(*sys.argv[1:])
