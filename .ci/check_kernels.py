"""Runs the C++ kernels on random cases under AddressSanitizer and UndefinedBehaviorSanitizer.

Reading or writing outside of an array, undefined arithmetic, and a number that does not fit its
type end the program with a report. JAX calls the kernels, as it does for users. Each operand and
each result is allocated on its own, so that an access out of bounds does not hit another array.

Usage: `python .ci/check_kernels.py [SECONDS]`, by default 30 seconds of cases. Needs GCC with its
sanitizers, and is skipped without them.
"""

import functools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from stn_jax.native import compiler, library

SANITIZERS = "-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"
# Without most optimisations, the sanitizers compile in half a minute.
FLAGS = (*compiler.FLAGS, *SANITIZERS, "-O1", "-g1", "-w")
NOWHERE = np.float32([np.nan, np.inf, -np.inf, 1e20, -1e20, 3e38, 2**31, -(2**31)])


def sampling_case(rng):
    """Yields calls of the kernels. Any size may be 0, except those of the image."""
    batch = [(), (1,), (0,), (3,), (2, 2)][rng.integers(5)]
    ndim = rng.integers(1, 4)
    sizes = rng.choice([1, 2, 3, 7, 40, 300] if ndim < 3 else [1, 2, 3, 7, 12], ndim)
    count = rng.choice([0, 1, 5, 33, 130, 900])
    channels = rng.choice([0, 1, 1, 1, 2, 3, 4, 8, 13])
    image = rng.normal(size=(*batch, *sizes, channels))
    values = rng.normal(size=(*batch, count, channels))
    grid = rng.normal(size=(*batch, count, ndim)) * rng.choice([0.3, 1, 10, 1e9])
    grid[rng.uniform(size=grid.shape) < 0.1] = rng.choice(NOWHERE)
    on_pixels = rng.uniform(size=grid.shape) < 0.1
    grid[on_pixels] = rng.choice([-1, 0, 1, 1 - 1 / sizes[-1]], int(on_pixels.sum()))
    image, values, grid = (np.asarray(x, np.float32) for x in (image, values, grid))
    taps = rng.choice([1, 2, 2, 3, 4, 5, 6])
    params = {"sizes": sizes, "padding": rng.integers(4), "align_corners": rng.integers(2)}
    params |= {"in_pixels": rng.integers(2), "taps": taps}
    params |= {"is_cubic": int(taps == 4) * rng.integers(2), "cubic_a": -0.5}
    yield "sample_read", (image, grid), values, params
    yield "sample_read_transpose", (values, grid), image, params
    yield "sample_shift_transpose", (values, image, grid), grid, params


def convolution_case(rng):
    kernel_size = rng.integers(1, 8, 2)
    padding = [rng.integers(0, k, 2) for k in kernel_size]
    size = [
        max(1, k - p.sum()) + rng.choice([0, 1, 2, 9, 60])
        for k, p in zip(kernel_size, padding, strict=True)
    ]
    output = [n + p.sum() - k + 1 for n, p, k in zip(size, padding, kernel_size, strict=True)]
    channels, features = rng.choice([0, 1, 2, 3, 8, 17, 33], 2)
    batch = rng.choice([0, 1, 2, 5, 40])
    inputs = np.float32(rng.normal(size=(batch, *size, channels)))
    kernel = np.float32(rng.normal(size=(*kernel_size, channels, features)))
    outputs = np.float32(rng.normal(size=(batch, *output, features)))
    params = dict(zip(("top", "bottom", "left", "right"), np.concatenate(padding), strict=True))
    yield "convolution", (inputs, kernel), outputs, params
    yield "convolution_input_gradient", (outputs, kernel), inputs, params
    yield "convolution_kernel_gradient", (inputs, outputs), kernel, params


def check(path, seconds):
    """Loads the library at `path` and runs cases for some seconds."""
    import jax

    library._register(library._open(path))
    rng = np.random.default_rng(0)
    cases, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        case = sampling_case if cases % 2 else convolution_case
        for name, operands, like, params in case(rng):
            result = jax.ShapeDtypeStruct(like.shape, like.dtype)
            call = jax.ffi.ffi_call(library.target_name(name), result)
            attributes = {
                key: np.float64(value) if isinstance(value, float) else np.int64(value)
                for key, value in params.items()
            }
            jax.block_until_ready(jax.jit(functools.partial(call, **attributes))(*operands))
        cases += 1
    print(f"the sanitizers found nothing in {cases} random cases")


def file_of_compiler(name):
    """Returns the path of a library that comes with GCC, or None."""
    try:
        command = ["g++", f"-print-file-name={name}"]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
    except OSError:
        return None
    return run.stdout.strip() if os.path.isabs(run.stdout) else None


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30
    if path := os.environ.get("STN_JAX_SANITIZED"):
        return check(Path(path), seconds)
    # The runtime must be loaded first, and finds exceptions in the C++ library.
    runtime = [file_of_compiler(name) for name in ("libasan.so", "libstdc++.so")]
    if not all(runtime):
        return print("GCC's sanitizers are not available: skipped")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "library.so")
        compiler.FLAGS = FLAGS
        compiler.compile_library(["g++"], path)
        environment = os.environ | {
            "STN_JAX_SANITIZED": str(path),
            "LD_PRELOAD": " ".join(runtime),
            "ASAN_OPTIONS": "detect_leaks=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        }
        command = [sys.executable, __file__, str(seconds)]
        sys.exit(subprocess.run(command, env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
