"""Peak memory of the sampler's forward pass and both gradients.

On the CPU it is the peak resident memory of a separate process, measured in the same way for our
sampler and torch's. The kernel resets its high-water mark on demand, and environment variables make
the C library return freed blocks to the system at once. On a GPU, the memory that the XLA compiler
plans is compared with the count that torch keeps.
Each call of `peaks` starts such a process: python -m benchmarks.memory WHO WORKLOADS
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks import jax_samplers, workloads
from benchmarks.jax_samplers import Sampler
from benchmarks.workloads import Workload

KIND = "both"
_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def peaks(who: str, shapes: Sequence[Workload]) -> list[int] | None:
    """Returns the peak bytes beyond the inputs for each workload, or None if measuring fails.

    Args:
        who: whose sampler to measure, "ours" or "torch".
        shapes: the workloads.
    """
    command = [sys.executable, "-m", "benchmarks.memory", who, json.dumps(shapes)]
    run = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **_ENVIRONMENT}, check=False
    )
    if run.returncode:
        print(run.stderr[-500:], file=sys.stderr)
        return None
    return json.loads(run.stdout.splitlines()[-1])


def input_bytes(workload: Workload) -> int:
    """Returns the bytes of the images, grids and cotangents in float32."""
    pixels = workload.batch * workload.height * workload.width
    return 4 * pixels * (2 * workload.channels + 2)


def planned(workload: Workload) -> int:
    """Returns our bytes beyond the inputs by the compiler's analysis: outputs and temporaries."""
    program: Any = jax_samplers.make_samplers()["ours"].programs[KIND]
    image = jax.ShapeDtypeStruct(workload[:4], "float32")
    points = jax.ShapeDtypeStruct((*workload[:3], 2), "float32")
    analysis = program.lower(image, points, image).compile().memory_analysis()
    return analysis.temp_size_in_bytes + analysis.output_size_in_bytes


def _main(who: str, shapes: list[Workload]) -> None:
    sampler = _torch_sampler() if who == "torch" else jax_samplers.make_samplers()["ours"]
    measure: Callable[[Sampler, Workload], int] = _resident
    if jax.default_backend() == "gpu":
        measure = _on_gpu if who == "torch" else lambda _, workload: planned(workload)
    print(json.dumps([measure(sampler, workload) for workload in shapes]))


def _torch_sampler() -> Sampler:
    from benchmarks import torch_samplers

    return torch_samplers.make_samplers(compiled=False)["torch"]


def _inputs(sampler: Sampler, workload: Workload) -> tuple:
    images, cotangents = workloads.random_images(workload)
    return sampler.put(images, workloads.random_grids(workload), cotangents)


def _resident(sampler: Sampler, workload: Workload) -> int:
    inputs = _inputs(sampler, workload)
    for _ in range(2):  # the first call compiles
        time.sleep(0.1)  # temporaries are freed shortly after results are ready
        before = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        result = jax.block_until_ready(sampler.programs[KIND](*inputs))
        peak = _status("VmHWM")
        del result
    return max(0, peak - before)


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(key))


def _on_gpu(sampler: Sampler, workload: Workload) -> int:
    import torch

    inputs = _inputs(sampler, workload)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    sampler.programs[KIND](*inputs)
    return torch.cuda.max_memory_allocated() - before


if __name__ == "__main__":
    _main(sys.argv[1], [Workload(*shape) for shape in json.loads(sys.argv[2])])
