"""What torch's `grid_sample` and `affine_grid` compute, for checkouts without torch.

`torch_values.npz` holds the results; the inputs come from a seed. `python -m tests.torch_values`
makes the file again with the torch that is installed.
"""

import itertools
from pathlib import Path

import numpy as np

from tests.kept_values import name_of

PATH = Path(__file__).with_name("torch_values.npz")
METHODS, PADDINGS = ("nearest", "bilinear", "bicubic"), ("zeros", "border", "reflection")
OPTIONS = list(itertools.product(METHODS, PADDINGS, (False, True)))
IMAGE_SHAPES = [(5, 7, 3), (1, 6, 1), (3, 1, 2), (1, 1, 1), (9, 4, 2), (4, 3, 5, 2), (1, 2, 1, 1)]
GRID_SHAPES = [(5, 7), (4, 1), (1, 3), (1, 1), (9, 12), (3, 4, 5), (1, 1, 2)]
THETAS = {n: np.random.default_rng(0).normal(size=(n, n + 1)).astype(np.float32) for n in (2, 3)}

CASES = [
    (shape, *options)
    for shape, options in itertools.product(IMAGE_SHAPES, OPTIONS)
    if len(shape) == 3 or options[0] != "bicubic"  # torch has none for volumes
]
"""Shape of the image, method, padding and align_corners."""


def sampler_inputs(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns an image, a grid that reaches beyond it, and a cotangent of the output."""
    rng = np.random.default_rng(shape)
    image = rng.normal(size=shape).astype(np.float32)
    target = (6, 5, 4)[: len(shape) - 1]
    grid = rng.uniform(-2.5, 2.5, (*target, len(target))).astype(np.float32)
    return image, grid, rng.normal(size=(*target, shape[-1])).astype(np.float32)


def edge_inputs(align_corners: bool) -> tuple[np.ndarray, np.ndarray]:
    """Returns an image, and a grid of whole and half pixels in it, on its border and beyond.

    Its size makes these coordinates exact in float32, so that halves are true ties.
    """
    height, width = (3, 5) if align_corners else (4, 8)
    steps = np.arange(-12, 25) / 2
    x, y = (
        2 * steps / (size - 1) - 1 if align_corners else (2 * steps + 1) / size - 1
        for size in (width, height)
    )
    image = np.random.default_rng(1).normal(size=(height, width, 2)).astype(np.float32)
    return image, np.stack(np.meshgrid(x, y), axis=-1).astype(np.float32)


def compute() -> dict[str, np.ndarray]:
    """Computes all values with torch."""
    import torch

    values = {}
    for shape, method, padding, align_corners in CASES:
        image, grid, cotangent = map(torch.from_numpy, sampler_inputs(shape))
        image = image.movedim(-1, 0)[None].requires_grad_()
        grid = grid[None].requires_grad_()
        output = torch.nn.functional.grid_sample(
            image, grid, mode=method, padding_mode=padding, align_corners=align_corners
        )
        by_image, by_grid = torch.autograd.grad(
            output, (image, grid), cotangent.movedim(-1, 0)[None]
        )
        results = {
            "output": output[0].detach().movedim(0, -1),
            "by_image": by_image[0].movedim(0, -1),
            "by_grid": by_grid[0],
        }
        for kind, result in results.items():
            values[name_of(kind, *shape, method, padding, align_corners)] = result.numpy()
    for method, padding, align_corners in OPTIONS:
        image, grid = map(torch.from_numpy, edge_inputs(align_corners))
        output = torch.nn.functional.grid_sample(
            image.permute(2, 0, 1)[None],
            grid[None],
            mode=method,
            padding_mode=padding,
            align_corners=align_corners,
        )
        name = name_of("edges", method, padding, align_corners)
        values[name] = output[0].permute(1, 2, 0).numpy()
    for shape, align_corners in itertools.product(GRID_SHAPES, (False, True)):
        grid = torch.nn.functional.affine_grid(
            torch.from_numpy(THETAS[len(shape)][None]), (1, 1, *shape), align_corners=align_corners
        )
        values[name_of("affine_grid", *shape, align_corners)] = grid[0].numpy()
    return values


if __name__ == "__main__":
    np.savez_compressed(PATH, **compute())
