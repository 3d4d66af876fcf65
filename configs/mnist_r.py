"""Section 4.1, R: digits rotated by -90 to 90 degrees, 28x28 pixels.

Command: python launch.py --config=configs/mnist_r.py[:NETWORK][,RECIPE]

The paper's test errors in per cent: fcn 2.1, cnn 1.2, st_fcn_affine 1.2, st_fcn_projective 1.3,
st_fcn_tps 1.1, st_cnn_affine 0.7, st_cnn_projective 0.8, st_cnn_tps 0.7.
Measured (modern recipe, seed 0, 2 CPU cores): fcn 2.62 in 16 s, st_fcn_affine 2.04 in 45 s.
"""

from ml_collections import ConfigDict

from stn_jax.experiments.distorted_mnist.config import make_config


def get_config(variant: str | None = None) -> ConfigDict:
    """Returns the config; `variant` names a network and a recipe, see `make_config`."""
    return make_config("r", variant)
