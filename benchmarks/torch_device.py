"""The device of torch: the GPU if JAX runs on it and torch can use it, otherwise the CPU."""

import contextlib
import functools
from collections.abc import Iterator

import jax
import numpy as np
import torch


@functools.cache
def device() -> torch.device:
    on_gpu = jax.default_backend() == "gpu" and torch.cuda.is_available()
    if on_gpu:
        torch.set_float32_matmul_precision("high")  # TF32 products, which are JAX's default
    return torch.device("cuda" if on_gpu else "cpu")


def to_torch(array: np.ndarray) -> torch.Tensor:
    """Returns a contiguous copy of the array on the device."""
    return torch.from_numpy(np.array(array, order="C")).to(device())


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Makes both libraries compute products in full float32, to compare results."""
    chosen = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    with jax.default_matmul_precision("highest"), torch.backends.cudnn.flags(allow_tf32=False):
        yield
    torch.set_float32_matmul_precision(chosen)
