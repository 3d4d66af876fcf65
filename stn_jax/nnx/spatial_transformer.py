"""The spatial transformer in Flax NNX: localisation network, sampling grid and sampler."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from flax import nnx
from jax import Array

from stn_jax.functional.spatial_transform import shared_family, spatial_transform
from stn_jax.sampling import Method, Padding
from stn_jax.transforms import Family, FamilyName


class SpatialTransformer(nnx.Module):
    """Warps a feature map by a transformation that it predicts from that feature map.

    Input U [B, H, W, C], output V [B, H', W', C], V = sample(U, grid(localisation(U))) (paper,
    section 3). Theta maps output to input in normalised coordinates (x, y); see `stn_jax.sample`.
    With a family of one or three dimensions, such as `make_family("affine", ndim=3)`, it warps
    signals [B, W, C] or volumes [B, D, H, W, C].

    To read `inputs`, `theta` and `grid`, capture them:
    `outputs, seen = nnx.capture(module, nnx.Intermediate)(images)`.

    Args:
        localisation: any callable U -> theta, with theta [B, *theta_shape] or flat [B, num_params]:
            a localisation network of `stn_jax.nnx`, your own module or a plain function. It
            should start at the identity transformation, as `ThetaRegression` does.
        family: the family of transformations, by name or as a `Family`. If it is None, that of the
            localisation network is used.
        output_shape: (H', W'); the (H, W) of the input if None.
        method: "nearest", "linear" or "cubic", also named "bilinear" and "bicubic", or a B-spline.
        padding: what is read outside the image: "zeros", "border", "reflection" or "wrap".
        fill: what "zeros" reads instead of 0: a number, or one for each channel.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.
        cubic_a: the slope of "cubic" at a distance of 1 pixel.
        antialias: whether to average over the pixels between the points of a grid that shrinks the
            image, or how many times it may shrink by half; see `stn_jax.sample`.

    Raises:
        ValueError: no family or two different families are given, theta does not have the shape of
            the family, or an option is unknown.

    >>> network = stn_jax.nnx.ConvLocalisation((28, 28, 1), "affine", rngs=nnx.Rngs(0))
    >>> SpatialTransformer(network)(jnp.ones((8, 28, 28, 1))).shape
    (8, 28, 28, 1)
    """

    def __init__(
        self,
        localisation: Callable[..., Array],
        family: FamilyName | Family | None = None,
        *,
        output_shape: tuple[int, ...] | None = None,
        method: Method = "bilinear",
        padding: Padding = "zeros",
        fill: float | Sequence[float] = 0.0,
        align_corners: bool = False,
        cubic_a: float = -0.75,
        antialias: bool | int = False,
    ):
        self.localisation = localisation
        self.family = shared_family(family, localisation)
        self.output_shape = output_shape
        self.method = method
        self.padding = padding
        self.fill = tuple(np.ravel(fill).tolist())
        self.align_corners = align_corners
        self.cubic_a = cubic_a
        self.antialias = antialias

    def __call__(self, images: Array, *args: Any, **kwargs: Any) -> Array:
        """Returns the warped images; other arguments are passed to the localisation network."""
        theta = self.localisation(images, *args, **kwargs)
        outputs, grids = spatial_transform(
            images,
            theta,
            self.family,
            output_shape=self.output_shape,
            method=self.method,
            padding=self.padding,
            fill=np.asarray(self.fill),
            align_corners=self.align_corners,
            cubic_a=self.cubic_a,
            antialias=self.antialias,
        )
        if hasattr(self, "__captures__"):  # set by `nnx.capture`; without it, `sow` is deprecated
            self.sow(nnx.Intermediate, "inputs", images)
            self.sow(nnx.Intermediate, "theta", theta)
            self.sow(nnx.Intermediate, "grid", grids)
        return outputs
