"""The hardware, software and settings of JAX that a result was produced with."""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

import stn_jax
from stn_jax.experiments.workdir.json_files import (
    COUNT,
    TEXT,
    TEXTS,
    Kind,
    check_entries,
    read_json,
)
from stn_jax.files import write_atomically
from stn_jax.native.library import is_available

_OPTIONS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_disable_jit",
)


def environment() -> dict:
    """Returns what a run's numbers depend on in addition to its config.

    Returns:
        `device`, which on the CPU includes the number of cores that the process may use;
        `versions`, of Python and the libraries by name; and `settings`, by name: the processor,
        whether the native kernels compute, and what the environment and JAX's options say.
    """
    on_cpu = jax.default_backend() == "cpu"
    device = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    if jax.process_count() > 1:
        device += f" in {jax.process_count()} processes"
    return {
        "device": f"{device} (cores: {usable_cores()})" if on_cpu else device,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy")},
        },
        "settings": {
            "processor": _processor(),
            "native_kernels": str(on_cpu and is_available()),
            "XLA_FLAGS": " ".join(os.environ.get("XLA_FLAGS", "").split()),
            **{name: str(getattr(jax.config, name)) for name in _OPTIONS},
        },
    }


def must_be_the_same() -> dict[str, str]:
    """Returns what all processes of a run must have in common for its numbers, by name.

    It includes a digest of the code of this package, but not the processor.
    """
    package = Path(stn_jax.__file__).parent
    code = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".cc", ".h"):
            code.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    facts = _deciding(environment()) | {"code of stn_jax": code.hexdigest()[:16]}
    del facts["processor"]
    return facts


def usable_cores() -> int:
    """Returns how many of the machine's cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # not available on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not available on every system
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor())


def note_environment(workdir: Path, step: int) -> None:
    """Records in `environment.json` what the run continues with from `step` on.

    If numbers depend on what has changed since the run was stopped, one line on stderr says so.

    Raises:
        UserError: the file cannot be read.
    """
    path, now = workdir / "environment.json", environment()
    try:
        parts = read_json(path, _parts, "; remove it to continue without it")
        parts = [part for part in parts if part["from_step"] < step]
    except FileNotFoundError:
        parts = []
    changes = _changes(parts[-1], now) if parts else []
    if changes:
        print(
            f"from step {step} on, numbers may differ from those of a run that was never stopped: "
            f"{', '.join(changes)}",
            file=sys.stderr,
        )
    if changes or not parts:
        parts.append({"from_step": step, **now})
    write_atomically(path, json.dumps({"parts": parts}, indent=1) + "\n")


def _parts(content: Any) -> list[dict]:
    check_entries(content, {"parts": Kind("a list", lambda value: isinstance(value, list))})
    for part in content["parts"]:
        check_entries(part, {"from_step": COUNT, "device": TEXT, "versions": TEXTS})
        check_entries(part, {"settings": TEXTS})
    return content["parts"]


def _changes(before: Mapping, now: Mapping) -> list[str]:
    old, new = _deciding(before), _deciding(now)
    return [
        f"{name} was {old.get(name) or 'unset'} and is {new.get(name) or 'unset'}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _deciding(part: Mapping) -> dict[str, str]:
    """Returns what numbers depend on: also on the cores, but not on Python's version."""
    versions = {name: text for name, text in part["versions"].items() if name != "python"}
    return {"device": part["device"], **versions, **part["settings"]}
