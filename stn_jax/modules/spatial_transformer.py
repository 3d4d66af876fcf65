"""The spatial transformer: localisation network, sampling grid and sampler (paper, section 3)."""

import functools

import jax
from flax import linen as nn
from jax import Array

from stn_jax.sampling import sample
from stn_jax.transforms import Family


class SpatialTransformer(nn.Module):
    """Warps a feature map by a transformation that it predicts from that feature map.

    Input U [B, H, W, C], output V [B, H', W', C], V = sample(U, grid(localisation(U))).
    Coordinates are normalised, (x, y), and go from output to input; see `stn_jax.sample`.
    `inputs`, `theta` and `grid` are sown as intermediates: read them with
    `module.apply(variables, images, mutable=["intermediates"])`.

    Attributes:
        localisation: any Flax module U -> theta [B, ...] of the form that `family.grid` takes; it
          should end in `ThetaRegression(family)` or start at the identity in some other way.
        family: the transformation family.
        output_shape: (H', W'); the input's (H, W) if None.
        method, padding, align_corners: as in `stn_jax.sample`.

    Raises:
        ValueError: theta is not of the family's shape, or an option is unknown.
    """

    localisation: nn.Module
    family: Family
    output_shape: tuple[int, int] | None = None
    method: str = "bilinear"
    padding: str = "zeros"
    align_corners: bool = False

    def __call__(self, images: Array, **localisation_kwargs) -> Array:
        """Keyword arguments, such as `train`, are handed to the localisation network."""
        shape = self.output_shape or images.shape[1:3]
        make_grid = functools.partial(
            self.family.grid, shape=shape, align_corners=self.align_corners
        )
        read = functools.partial(
            sample, method=self.method, padding=self.padding, align_corners=self.align_corners
        )
        theta = self.localisation(images, **localisation_kwargs)
        grid = jax.vmap(make_grid)(theta)
        self.sow("intermediates", "inputs", images)
        self.sow("intermediates", "theta", theta)
        self.sow("intermediates", "grid", grid)
        return jax.vmap(read)(images, grid)
