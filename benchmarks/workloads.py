"""Workloads for the samplers: shapes, and random transformations of each family."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import stn_jax
from benchmarks.settings import CHANNELS
from stn_jax.transforms import make_family, tps


class Workload(NamedTuple):
    """A batch of feature maps [B, H, W, C], each of which is sampled at H x W points."""

    batch: int
    height: int
    width: int
    channels: int
    origin: str = ""

    def __str__(self) -> str:
        return "x".join(map(str, self[:4]))


WORKLOADS = (
    Workload(256, 28, 28, 1, "MNIST R"),
    Workload(256, 42, 42, 1, "MNIST RTS"),
    Workload(256, 60, 60, 1, "MNIST TC"),
    Workload(64, 64, 64, 3),
    Workload(64, 32, 32, 48),
    Workload(16, 128, 128, 3),
    Workload(8, 112, 112, 64),
    *(Workload(128, *shape, "ST-CNN Multi, 64 px") for shape in ((54, 54, 3), (27, 27, 48))),
    *(Workload(128, *shape, "ST-CNN Multi, 64 px") for shape in ((27, 27, 64), (14, 14, 128))),
    # A quarter of the paper's batch, so that the slowest peers take seconds instead of minutes.
    *(Workload(32, *shape, "ST-CNN Multi, 128 px") for shape in ((112, 112, 3), (56, 56, 48))),
    *(Workload(32, *shape, "ST-CNN Multi, 128 px") for shape in ((56, 56, 64), (28, 28, 128))),
)
DEVICE_WORKLOADS = WORKLOADS[:7]
FAMILY_WORKLOADS = (WORKLOADS[0], WORKLOADS[3], WORKLOADS[4])
SHORT_WORKLOADS = (Workload(3, 7, 9, 4),)


def _method_workloads() -> tuple[Workload, ...]:
    """Returns square images of each number of channels, as single ones and in larger batches."""
    found = []
    for channels in CHANNELS:
        for size, batch in ((28, 256), (128, 32), (512, 4), (1024, 1)):
            pixels = size * size * channels
            several = min(batch, 2**22 // pixels)
            found += [
                Workload(number, size, size, channels)
                for number in (1, several)
                if number and number * pixels <= 2**24
            ]
    return tuple(dict.fromkeys(found))


METHOD_WORKLOADS = _method_workloads()


def random_thetas(family: str, batch: int) -> np.ndarray:
    """Returns random thetas [batch, ...] of a family.

    They rotate by up to 90 degrees and scale by 0.7 to 1.2; those of "tps" bend about as strongly.
    """
    rng = np.random.default_rng(0)
    if family == "tps":
        points = tps.control_points(4)
        return (points + rng.normal(scale=0.1, size=(batch, *points.shape))).astype(np.float32)
    angle, scale = rng.uniform(-np.pi / 2, np.pi / 2, batch), rng.uniform(0.7, 1.2, batch)
    cos, sin, zero = scale * np.cos(angle), scale * np.sin(angle), np.zeros(batch)
    rows = [[cos, -sin, zero], [sin, cos, zero]]
    if family == "projective":
        rows.append([*rng.uniform(-0.2, 0.2, (2, batch)), np.ones(batch)])
    return np.moveaxis(np.array(rows), -1, 0).astype(np.float32)


def random_images(workload: Workload) -> tuple[np.ndarray, np.ndarray]:
    """Returns images and cotangents of the sampled values, both [B, H, W, C]."""
    rng = np.random.default_rng(1)
    images, cotangents = rng.normal(size=(2, *workload[:4])).astype(np.float32)
    return images, cotangents


def random_grids(workload: Workload) -> np.ndarray:
    """Returns random affine grids [B, H, W, 2]."""
    grid = make_family("affine").grid
    shape = workload.height, workload.width
    grids = jax.jit(jax.vmap(lambda theta: grid(theta, shape, align_corners=False)))
    return np.asarray(grids(jnp.asarray(random_thetas("affine", workload.batch))))


def random_volumes(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns volumes [B, D, H, W, C], random grids [B, D, H, W, 3], and cotangents.

    The grids rotate by up to 30 degrees about each axis and scale by 0.8 to 1.2.
    """
    rng = np.random.default_rng(2)
    images, cotangents = rng.normal(size=(2, *shape)).astype(np.float32)
    thetas = np.zeros((shape[0], 3, 4), np.float32)
    for theta in thetas:
        theta[:, :3] = rng.uniform(0.8, 1.2) * np.eye(3)
        for axis, angle in enumerate(rng.uniform(-np.pi / 6, np.pi / 6, 3)):
            turn, (i, j) = np.eye(3), {0, 1, 2} - {axis}
            turn[i, i] = turn[j, j] = np.cos(angle)
            turn[i, j], turn[j, i] = np.sin(angle), -np.sin(angle)
            theta[:, :3] = turn @ theta[:, :3]
    grids = jax.vmap(lambda theta: stn_jax.affine_grid(theta, shape[1:-1]))(thetas)
    return images, np.asarray(grids), cotangents
