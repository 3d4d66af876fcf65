"""The spatial transformer as a function of images and theta, without a localisation network."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from stn_jax.errors import UserError
from stn_jax.layout import check_images
from stn_jax.sampling import Method, Padding, sample, sample_separable
from stn_jax.transforms import Family, FamilyName, make_family


def spatial_transform(
    images: ArrayLike,
    theta: ArrayLike,
    family: FamilyName | Family = "affine",
    *,
    output_shape: tuple[int, ...] | None = None,
    method: Method = "bilinear",
    padding: Padding = "zeros",
    fill: ArrayLike = 0.0,
    align_corners: bool = False,
    cubic_a: float = -0.75,
    antialias: bool | int = False,
) -> tuple[jax.Array, jax.Array]:
    """Warps each image of a batch by its own theta (paper, section 3).

    Theta maps output to input in normalised coordinates (x, y); see `stn_jax.sample`.

    Args:
        images: [B, H, W, C], images or feature maps of a floating-point dtype; or signals
            [B, W, C] or volumes [B, D, H, W, C], with a family of these dimensions.
        theta: [B, *theta_shape], as for the family's grid function, such as [B, 2, 3] for "affine",
            or the flat parameters [B, num_params].
        family: the name of a family of transformations, or a `Family`, such as
            `make_family("affine", ndim=3)` for volumes.
        output_shape: (H', W') of the output; the (H, W) of the images if None.
        method: "nearest", "linear" or "cubic", also named "bilinear" and "bicubic", or a B-spline;
            see `stn_jax.sample`.
        padding: what is read outside the image: "zeros", "border", "reflection" or "wrap".
        fill: what "zeros" reads instead of 0: a number, or one for each channel [C].
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.
        cubic_a: the slope of "cubic" at a distance of 1 pixel.
        antialias: whether to average over the pixels between the points of a grid that shrinks the
            image, or how many times it may shrink by half; see `stn_jax.sample`.

    Returns:
        The warped images [B, H', W', C], and the sampling grids [B, H', W', 2] that were used.

    Raises:
        ValueError: a shape is wrong, or the family, method or padding is unknown.

    >>> images, theta = jnp.ones((8, 28, 28, 1)), jnp.tile(jnp.array([0.5, 0.0, 0.0]), (8, 1))
    >>> warped, grids = spatial_transform(images, theta, "attention", output_shape=(14, 14))
    >>> warped.shape, grids.shape
    ((8, 14, 14, 1), (8, 14, 14, 2))
    """
    images, theta, family = jnp.asarray(images), jnp.asarray(theta), make_family(family)
    check_images(images.shape, ndim=family.ndim)
    count = images.shape[0]
    if theta.shape[:1] != (count,):
        one = theta.shape in (family.theta_shape, (family.num_params,))
        hint = f": pass jnp.broadcast_to(theta, {(count, *theta.shape)}) for all images alike"
        raise UserError(
            f"theta must start with the batch size of the images, {count}, got {theta.shape}"
            f"{hint if one else ''}"
        )
    source_shape = images.shape[1:-1]
    shape = source_shape if output_shape is None else output_shape

    def make_grid(one: jax.Array) -> jax.Array:
        return family.sampling_grid(
            one, shape, source_shape=source_shape, align_corners=align_corners
        )

    def read(image: jax.Array, grid: jax.Array) -> jax.Array:
        read_points = sample_separable if family.is_separable else sample
        return read_points(
            image,
            grid,
            method=method,
            padding=padding,
            fill=fill,
            align_corners=align_corners,
            cubic_a=cubic_a,
            antialias=antialias,
        )

    grids = jax.vmap(make_grid)(theta)
    return jax.vmap(read)(images, grids), grids


NO_FAMILY = '{0} needs a family of transformations: name it, as in {0}(..., family="affine")'


def shared_family(family: FamilyName | Family | None, localisation: Any) -> Family:
    """Returns the family that a transformer shares with its localisation network.

    Args:
        family: the family given to the transformer; None to use that of the localisation network.
        localisation: a callable, which may have an attribute `family`.

    Raises:
        ValueError: neither names a family, or they name two different ones.
    """
    own = getattr(localisation, "family", None)
    if family is None:
        family = own
    if family is None:
        raise UserError(NO_FAMILY.format("SpatialTransformer"))
    chosen = make_family(family)
    if own is not None and make_family(own) != chosen:
        raise UserError(
            f"the transformer's family is {chosen.name!r} and its localisation network's is "
            f"{make_family(own).name!r}: name the family once, in the localisation network"
        )
    return chosen
