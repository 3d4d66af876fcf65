"""Families of transformations: theta -> sampling grid (section 3.2 of the paper).

All functions act on one example; batch them with `jax.vmap`. A grid has shape [H', W', 2], its last
axis is (x, y), and it maps target to source in normalised coordinates.
"""

from stn_jax.errors import check_choice
from stn_jax.transforms import affine, attention, projective, similarity, tps, translation
from stn_jax.transforms.affine import affine_grid
from stn_jax.transforms.attention import attention_grid
from stn_jax.transforms.family import Family
from stn_jax.transforms.projective import projective_grid
from stn_jax.transforms.regular_grid import regular_grid
from stn_jax.transforms.similarity import similarity_grid
from stn_jax.transforms.tps import tps_grid
from stn_jax.transforms.translation import translation_grid

__all__ = [
    "FAMILIES",
    "Family",
    "affine_grid",
    "attention_grid",
    "make_family",
    "projective_grid",
    "regular_grid",
    "similarity_grid",
    "tps_grid",
    "translation_grid",
]

FAMILIES = ("attention", "translation", "similarity", "affine", "projective", "tps")


def make_family(
    name: str, *, source_shape: tuple[int, int] | None = None, control_size: int = 4
) -> Family:
    """The family of that name.

    Args:
        name: "attention", "translation", "similarity", "affine", "projective" or "tps".
        source_shape: (height, width) of the image to be sampled, for "similarity" alone; the
            output's shape if None.
        control_size: k, for "tps" alone: there are k x k control points.

    Raises:
        ValueError: on an unknown name.
    """
    check_choice(name, FAMILIES, "family", ValueError)
    if name == "similarity":
        return similarity.family(source_shape)
    if name == "tps":
        return tps.family(control_size)
    fixed = (attention.FAMILY, translation.FAMILY, affine.FAMILY, projective.FAMILY)
    return next(family for family in fixed if family.name == name)
