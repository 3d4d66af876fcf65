"""Families of transformations: theta -> sampling grid (section 3.2 of the paper).

Theta stands for the parameters of a transformation. A grid has shape [H', W', 2], and its last axis
is (x, y); in one and three dimensions, it is [W', 1] or [D', H', W', 3]. It maps the target (the
output) to the source (the input): for each target pixel, it gives the source point to read.
Coordinates are normalised: the image spans -1..1 along each axis. All functions act on one example;
batch them with `jax.vmap`.
"""

from typing import Literal, get_args

from stn_jax.errors import UserError, check_choice
from stn_jax.transforms import affine, attention, projective, similarity, tps, translation
from stn_jax.transforms.affine import affine_grid
from stn_jax.transforms.attention import attention_grid
from stn_jax.transforms.family import Family
from stn_jax.transforms.motions import Motion, grid_motion
from stn_jax.transforms.projective import projective_grid
from stn_jax.transforms.regular_grid import regular_grid
from stn_jax.transforms.similarity import similarity_grid
from stn_jax.transforms.tps import tps_grid
from stn_jax.transforms.translation import translation_grid

__all__ = [
    "FAMILIES",
    "Family",
    "FamilyName",
    "Motion",
    "affine_grid",
    "attention_grid",
    "grid_motion",
    "make_family",
    "projective_grid",
    "regular_grid",
    "similarity_grid",
    "tps_grid",
    "translation_grid",
]

FamilyName = Literal["attention", "translation", "similarity", "affine", "projective", "tps"]
FAMILIES: tuple[FamilyName, ...] = get_args(FamilyName)

_FIXED = {
    module.FAMILY.name: module.FAMILY
    for module in (attention, translation, similarity, affine, projective)
}
"""The families without options."""

_OF_ANY_NDIM = {"affine": affine.family, "translation": translation.family}


def make_family(family: FamilyName | Family, *, control_size: int = 4, ndim: int = 2) -> Family:
    """Returns the family with the given name; returns a `Family` unchanged.

    Args:
        family: "attention", "translation", "similarity", "affine", "projective", "tps", or a
            `Family` of your own.
        control_size: k, only used for "tps", which has k x k control points.
        ndim: the number of axes of the images: 1 for signals [W, C], 2, or 3 for volumes
            [D, H, W, C]. All families but "affine" and "translation" are of two dimensions.

    Raises:
        UserError: the name is unknown, `control_size` is not an integer of at least 2, or the
            family does not exist in `ndim` dimensions.

    >>> make_family("affine").num_params
    6
    >>> make_family("tps", control_size=3).theta_shape
    (9, 2)
    >>> make_family("affine", ndim=3).theta_shape
    (3, 4)
    """
    if isinstance(family, Family):
        return family
    check_choice(family, FAMILIES, "family")
    if ndim != 2:
        check_choice(family, _OF_ANY_NDIM, f"family with ndim={ndim}")
        if ndim not in (1, 3):
            raise UserError(f"ndim must be 1, 2 or 3, got {ndim!r}")
        return _OF_ANY_NDIM[family](ndim)
    if family == "tps":
        return tps.family(control_size)
    return _FIXED[family]
