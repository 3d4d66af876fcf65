"""Compiles programs, and refuses those that the machine has too little memory for."""

import contextlib
import math
import os
from pathlib import Path
from typing import Any

import jax

from stn_jax.errors import UserError


def compile_within_memory(program: jax.stages.Wrapped, *arguments: Any) -> jax.stages.Compiled:
    """Compiles a program for some arguments.

    On a CPU, a process that needs more memory than there is is killed without a message. On
    accelerators, JAX raises an exception.

    Args:
        program: a jitted or pmapped function.
        arguments: what it will be called with.

    Raises:
        UserError: the program needs more memory than this machine has.
    """
    compiled = program.lower(*arguments).compile()
    analysis = compiled.memory_analysis()
    if analysis is not None and jax.default_backend() == "cpu":
        on_each_device = (
            analysis.temp_size_in_bytes
            + analysis.argument_size_in_bytes
            + analysis.output_size_in_bytes
            - analysis.alias_size_in_bytes
        )
        check_memory(on_each_device * jax.local_device_count())
    return compiled


def check_memory(needed: float) -> None:
    """Raises `UserError` if a config needs more bytes than this machine's memory has."""
    present = memory_bytes()
    if needed > present:
        raise UserError(
            f"this config needs {needed / 1e9:.0f} GB of memory, and there are "
            f"{present / 1e9:.0f} GB: reduce batch_size, eval_batch_size or the sizes in "
            "config.model"
        )


def memory_bytes() -> float:
    """Returns the memory that this process may use: the machine's, or its container's limit.

    It is infinite where it is unknown, as on Windows.
    """
    limits = [math.inf]
    if hasattr(os, "sysconf"):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # it is "max" if there is no limit
            limits.append(int(Path("/sys/fs/cgroup", limit).read_text()))
    return min(limits)
