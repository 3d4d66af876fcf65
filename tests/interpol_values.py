"""What torch-interpol's `grid_pull` and `grid_push` compute, for checkouts without it.

`interpol_values.npz` holds the results; the inputs come from a seed.
`python -m tests.interpol_values` makes the file again with the packages that are installed.
"""

import itertools
from pathlib import Path

import numpy as np

from tests.kept_values import name_of

PATH = Path(__file__).with_name("interpol_values.npz")
ORDERS = (2, 3, 4, 5)
BOUNDS = {
    ("zeros", False): "zero",
    ("border", False): "replicate",
    ("reflection", False): "dct2",
    ("reflection", True): "dct1",
    ("wrap", False): "dft",
}
"""What torch-interpol calls each padding with `align_corners`."""

CASES = [
    # Every second pair: each order with two or three bounds, each bound with two orders.
    *(((9, 8), order, *outside) for order, outside in [*itertools.product(ORDERS, BOUNDS)][::2]),
    *(((5, 4, 6), order, *outside) for order, outside in zip(ORDERS, BOUNDS, strict=False)),
]
"""Sizes of the image, order, padding and align_corners."""


def inputs(sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns an image, points [N, n] in pixels within and outside of it, and values [N, C]."""
    rng = np.random.default_rng(sizes)
    image = rng.normal(size=(*sizes, 2)).astype(np.float32)
    points = rng.uniform(-3, np.array(sizes[::-1]) + 2, (12, len(sizes))).astype(np.float32)
    return image, points, rng.normal(size=(12, 2)).astype(np.float32)


def is_filtered(order: int, padding: str) -> bool:
    """Returns whether torch-interpol filters as the padding says.

    For zeros it does not, nor for "border" of orders above 3.
    """
    return padding in ("reflection", "wrap") or (padding == "border" and order <= 3)


def compute() -> dict[str, np.ndarray]:
    """Computes all values with torch-interpol, in float64."""
    import interpol
    import torch

    found = {}
    for sizes, order, padding, align_corners in CASES:
        image, points, values = (torch.from_numpy(x).double() for x in inputs(sizes))
        places = points.flip(-1).reshape(-1, *(1,) * (len(sizes) - 1), len(sizes))
        options = {
            "interpolation": order,
            "bound": BOUNDS[padding, align_corners],
            "extrapolate": True,
        }
        channels, moving = image.movedim(-1, 0), places.clone().requires_grad_()
        pulled = interpol.grid_pull(channels, moving, **options).reshape(2, -1).T
        (by_points,) = torch.autograd.grad(pulled, moving, values)
        results = {"pull": pulled.detach(), "by_points": by_points.reshape(points.shape).flip(-1)}
        if is_filtered(order, padding):
            filtered = interpol.grid_pull(channels, places, prefilter=True, **options)
            results["filtered"] = filtered.reshape(2, -1).T
        pushed = interpol.grid_push(
            values.T.reshape(2, *places.shape[:-1]), places, sizes, **options
        )
        results["push"] = pushed.movedim(0, -1)
        for kind, result in results.items():
            found[name_of(kind, *sizes, order, padding, align_corners)] = result.float().numpy()
    return found


if __name__ == "__main__":
    np.savez_compressed(PATH, **compute())
