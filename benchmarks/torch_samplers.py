"""The samplers of torch, eager and compiled, and of kornia. Needs torch."""

import functools
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.jax_samplers import KINDS, NAMES, Sampler, in_pixels
from benchmarks.peers import have
from benchmarks.torch_device import to_torch


def make_samplers(*, compiled: bool) -> dict[str, Sampler]:
    """Returns the samplers at given grids: points are [B, H, W, 2], images [B, C, H, W]."""
    samplers = {"torch": make_sampler(grid_sample)}
    samplers["torch, channels last"] = make_sampler(grid_sample, torch.channels_last)
    if compiled:
        samplers["torch.compile"] = _compiled(grid_sample)
    if have("kornia"):
        samplers["kornia"] = make_sampler(_remap)
    return samplers


def make_family_samplers(family: str, *, compiled: bool) -> dict[str, Sampler]:
    """Returns the samplers of theta -> grid -> values: points are theta [B, ...]."""
    make_grid = GRIDS[family]

    def transform(images, thetas):
        return grid_sample(images, make_grid(thetas, tuple(images.shape)))

    samplers = {"torch": make_sampler(transform)}
    if compiled:
        samplers["torch.compile"] = _compiled(transform)
    return samplers


def affine_grid(thetas: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Returns grids [B, H, W, 2] for thetas [B, 2, 3] and the `shape` (B, C, H, W) of images."""
    return F.affine_grid(thetas, list(shape), align_corners=False)


def projective_grid(thetas: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Returns grids [B, H, W, 2] for thetas [B, 3, 3], without a guard for the horizon."""
    uvw = _homogeneous(shape[2], shape[3], thetas.device) @ thetas.transpose(1, 2)
    return (uvw[..., :2] / uvw[..., 2:]).unflatten(1, shape[2:])


def tps_grid(thetas: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Returns grids [B, H, W, 2] for thetas [B, 16, 2]; the linear system is solved only once."""
    influence = _influence(shape[2], shape[3], thetas.device)
    return (influence @ thetas).unflatten(1, shape[2:])


GRIDS = {"affine": affine_grid, "projective": projective_grid, "tps": tps_grid}


def _pixels(height: int, width: int) -> torch.Tensor:
    """Returns the centres (x, y) of the pixels, [H * W, 2] in float64."""
    y, x = ((2 * torch.arange(n, dtype=torch.float64) + 1 - n) / n for n in (height, width))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1)


@functools.cache
def _homogeneous(height: int, width: int, device: torch.device) -> torch.Tensor:
    pixels = _pixels(height, width)
    return torch.cat([pixels, torch.ones_like(pixels[:, :1])], 1).float().to(device)


@functools.cache
def _influence(height: int, width: int, device: torch.device) -> torch.Tensor:
    """Returns how far each of the 16 control points moves each pixel, [H * W, 16]."""
    line = torch.linspace(-1, 1, 4, dtype=torch.float64)
    centres = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).flatten(0, 1)

    def terms(points):
        squared = (points[:, None] - centres).square().sum(-1)
        radial = torch.special.xlogy(squared, squared)
        return torch.cat([radial, torch.ones_like(points[:, :1]), points], 1)

    side = torch.cat([torch.ones_like(centres[:, :1]), centres], 1)
    system = torch.cat([terms(centres), torch.cat([side.T, side.new_zeros(3, 3)], 1)])
    coefficients = torch.linalg.solve(system, torch.eye(19, 16, dtype=torch.float64))
    return (terms(_pixels(height, width)) @ coefficients).float().to(device)


def grid_sample(images, grids, method="bilinear", padding="zeros"):
    """Reads images [B, C, *S] at grids [B, *T, n]."""
    return F.grid_sample(images, grids, mode=method, padding_mode=padding, align_corners=False)


def _remap(images, grids):
    from kornia.geometry.transform import remap

    x, y = grids.unbind(-1)
    return remap(images, x, y, align_corners=False, normalized_coordinates=True)


def _compiled(function: Callable) -> Sampler:
    # Each function is compiled for one shape; otherwise torch would make the sizes variables.
    return make_sampler(torch.compile(function, dynamic=False))


def make_spline_sampler(prefilter: bool) -> Sampler:
    """Returns torch-interpol's sampler by cubic B-splines under reflection."""
    import interpol

    def pull(images, grids):
        places = torch.stack(in_pixels(grids, *images.shape[2:]), -1)
        return interpol.grid_pull(
            images, places, interpolation=3, bound="dct2", extrapolate=True, prefilter=prefilter
        )

    return make_sampler(pull)


def make_sampler(function: Callable, memory_format=torch.contiguous_format) -> Sampler:
    """Returns the sampler for a function of images [B, C, *S] and points."""

    def put(images, points, cotangents):
        def ordered(array):
            tensor = to_torch(np.moveaxis(array, -1, 1))
            return tensor.contiguous(memory_format=memory_format)

        return ordered(images), to_torch(points), ordered(cotangents)

    def get(result):
        arrays = {name: value.detach().cpu().numpy() for name, value in result.items()}
        return {
            name: array if name == "points" else np.moveaxis(array, 1, -1)
            for name, array in arrays.items()
        }

    programs = {kind: _program(function, wanted) for kind, wanted in KINDS.items()}
    return Sampler(put=put, programs=programs, get=get)


def _program(function: Callable, wanted: tuple[int, ...]) -> Callable:
    def run(images, points, cotangents):
        inputs = [images, points]
        for place in wanted:
            inputs[place] = inputs[place].detach().requires_grad_()
        values = function(*inputs)
        leaves = [inputs[place] for place in wanted]
        gradients = torch.autograd.grad(values, leaves, cotangents) if wanted else ()
        names = (NAMES[place] for place in wanted)
        return {"values": values, **dict(zip(names, gradients, strict=True))}

    return run
