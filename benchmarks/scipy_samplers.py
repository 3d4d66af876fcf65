"""The samplers of SciPy, which have no gradients."""

from typing import Literal

import numpy as np
from scipy.ndimage import map_coordinates

from benchmarks.jax_samplers import Sampler, in_pixels


def make_sampler(
    *, order: int, mode: Literal["reflect", "grid-constant"], prefilter: bool = False
) -> Sampler:
    """Returns the sampler of images [B, *S, C] at grids [B, *T, n], with the forward pass only."""

    def put(images, points, cotangents):
        del cotangents
        places = in_pixels(points, *images.shape[1:-1])
        return np.moveaxis(images, -1, 1).copy(), np.stack(places, axis=1)

    def forward(images, points):
        values = [
            [
                map_coordinates(channel, places, order=order, mode=mode, prefilter=prefilter)
                for channel in image
            ]
            for image, places in zip(images, points, strict=True)
        ]
        return {"values": np.moveaxis(np.array(values), 1, -1)}

    return Sampler(put=put, programs={"forward": forward}, get=lambda result: result)
