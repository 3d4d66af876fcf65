"""Section 4.1, TC: digits placed at random among clutter, 60x60 pixels.

Command: python launch.py --config=configs/mnist_tc.py[:NETWORK][,RECIPE]

The paper's test errors in per cent: fcn 13.2, cnn 3.5, st_fcn_affine 2.0, st_cnn_affine 1.7.
Measured (modern recipe, seed 0, 2 CPU cores): fcn 35.26 in 44 s, st_fcn_affine 6.91 in 169 s.
"""

from ml_collections import ConfigDict

from stn_jax.experiments.distorted_mnist.config import make_config


def get_config(variant: str | None = None) -> ConfigDict:
    """Returns the config; `variant` names a network and a recipe, see `make_config`."""
    return make_config("tc", variant)
