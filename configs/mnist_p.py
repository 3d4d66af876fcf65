"""Section 4.1, P: digits under random projective transformations, 42x42 pixels.

Command: python launch.py --config=configs/mnist_p.py[:NETWORK][,RECIPE]

The paper's test errors in per cent: fcn 3.1, cnn 1.5, st_fcn_affine 1.5, st_fcn_projective 1.4,
st_fcn_tps 1.4, st_cnn_affine 0.8, st_cnn_projective 0.8, st_cnn_tps 0.8.
Measured (modern recipe, seed 0, 2 CPU cores): fcn 7.41 in 20 s, st_fcn_affine 1.45 in 150 s
(sampling 42x42 points).
"""

from ml_collections import ConfigDict

from stn_jax.experiments.distorted_mnist.config import make_config


def get_config(variant: str | None = None) -> ConfigDict:
    """Returns the config; `variant` names a network and a recipe, see `make_config`."""
    return make_config("p", variant)
