"""Section 4.1, E: digits deformed by random thin plate splines, 28x28 pixels.

Command: python launch.py --config=configs/mnist_e.py[:NETWORK][,RECIPE]

The paper's test errors in per cent: fcn 3.2, cnn 1.4, st_fcn_affine 2.7, st_fcn_projective 2.6,
st_fcn_tps 2.4, st_cnn_affine 1.2, st_cnn_projective 1.3, st_cnn_tps 1.1.
Measured (modern recipe, seed 0, 2 CPU cores): fcn 3.09 in 32 s, st_fcn_affine 1.97 in 69 s.
"""

from ml_collections import ConfigDict

from stn_jax.experiments.distorted_mnist.config import make_config


def get_config(variant: str | None = None) -> ConfigDict:
    """Returns the config; `variant` names a network and a recipe, see `make_config`."""
    return make_config("e", variant)
