"""Code of a user, checked by `mypy --strict`: the public names have types that fit each other."""

import jax
import jax.numpy as jnp
from flax import nnx

import stn_jax
import stn_jax.functional
import stn_jax.linen
import stn_jax.nnx
from stn_jax.sampling import METHODS, PADDINGS, Method, Padding
from stn_jax.transforms import FAMILIES, Family, FamilyName, make_family

images = jnp.zeros((2, 28, 28, 1))
family: Family = make_family("affine")
name: FamilyName = "tps"
method: Method = "bicubic"
padding: Padding = "border"
grid: jax.Array = stn_jax.affine_grid(jnp.eye(2, 3), (28, 28), align_corners=True)
warped: jax.Array = stn_jax.sample(images[0], grid, method=method, padding=padding)
outputs, grids = stn_jax.spatial_transform(images, jnp.zeros((2, 2)), "translation")
transformer = stn_jax.SpatialTransformer(stn_jax.linen.ConvLocalisation(), family="affine")
layer = stn_jax.nnx.ConvLocalisation((28, 28, 1), family, rngs=nnx.Rngs(0))
result: jax.Array = stn_jax.nnx.SpatialTransformer(layer, output_shape=(14, 14))(images)
pooled: jax.Array = stn_jax.functional.max_pool_2x2(outputs)
for grid_function in (stn_jax.attention_grid, stn_jax.projective_grid, stn_jax.tps_grid):
    print(grid_function.__name__, family.num_params, FAMILIES, METHODS, PADDINGS, grids.shape)
