"""The devices that programs are compiled for, and the packages that do it."""

import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
from jax.experimental import topologies


class Platform(NamedTuple):
    """A kind of device.

    Attributes:
        title: its name in tables.
        name: JAX's name of the platform, "tpu" or "cuda".
        topologies: the names of arrangements by the number of their devices.
        clock: cycles per second of a TPU.
    """

    title: str
    name: str
    topologies: Mapping[int, str]
    clock: float = 0.0


_GPUS = {count: f"1x1x{count}" for count in (1, 4, 8)}
PLATFORMS = {
    # The smallest arrangements have four chips; programs for one device use one of them.
    "v5e": Platform("TPU v5e", "tpu", {1: "v5e:2x2", 4: "v5e:2x2", 8: "v5e:2x4"}, 1.5e9),
    "v6e": Platform("TPU v6e", "tpu", {1: "v6e:2x2", 4: "v6e:2x2", 8: "v6e:2x4"}, 1.75e9),
    "h100": Platform("H100", "cuda", _GPUS),
}
PACKAGES = {"tpu": ("libtpu",), "cuda": ("jax-cuda13-plugin", "jax-cuda13-pjrt")}
INSTALL = "pip install libtpu==0.0.42.1 jax-cuda13-plugin==0.10.2 jax-cuda13-pjrt==0.10.2"
"""The command for JAX 0.10.2; other versions of JAX need other ones of these packages."""

_TPU_HOST = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


def missing(platform: str) -> str | None:
    """Returns one line that says why there is no compiler for a platform, or None if there is."""
    title, name, *_ = PLATFORMS[platform]
    absent = [package for package in PACKAGES[name] if not _is_installed(package)]
    if not absent:
        return None
    return f"{title} is left out, as {' and '.join(absent)} cannot be found: {INSTALL}"


def _is_installed(package: str) -> bool:
    try:
        return bool(importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        return False


def environment(dump: Path) -> dict[str, str]:
    """Returns the environment of a process that compiles; TPU kernels are written to `dump`."""
    tpu_flags = [
        f"--xla_jf_dump_to={dump}",
        "--xla_jf_dump_llo_text=true",
        "--xla_jf_dump_llo_pass_label_regex=^final_bundles$",
    ]
    gpu_flags = [
        "--xla_gpu_collect_cost_model_stats=true",
        "--xla_gpu_autotune_level=0",
        "--xla_gpu_enable_triton_gemm=false",
    ]
    return {
        **os.environ,
        **_TPU_HOST,
        "JAX_PLATFORMS": "cpu",
        "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1",  # there is no driver
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "LIBTPU_INIT_ARGS": " ".join(tpu_flags),
        "XLA_FLAGS": " ".join(gpu_flags),
    }


def devices(platform: str, count: int) -> list[jax.Device]:
    """Returns `count` devices that programs can be compiled for, but that do not exist."""
    _, name, arrangements, _ = PLATFORMS[platform]
    if name == "tpu":
        found = topologies.get_topology_desc(platform=name, topology_name=arrangements[count])
    else:
        description = Path(__file__).with_name(f"{platform}.txtpb").read_text()
        found = topologies.get_topology_desc(
            platform=name, topology=arrangements[count], target_config=description
        )
    return list(found.devices)[:count]
