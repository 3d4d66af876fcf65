"""Section 4.1, RTS: digits rotated, scaled and placed at random, 42x42 pixels.

Command: python launch.py --config=configs/mnist_rts.py[:NETWORK][,RECIPE]

The paper's test errors in per cent: fcn 5.2, cnn 0.8, st_fcn_affine 0.8, st_fcn_projective 0.9,
st_fcn_tps 0.8, st_cnn_affine 0.5, st_cnn_projective 0.6, st_cnn_tps 0.5.
Measured (modern recipe, seed 0, 2 CPU cores): fcn 12.97 in 18 s, st_fcn_affine 2.07 in 58 s
(sampling 28x28 points), st_cnn_affine 0.85 in 384 s.
"""

from ml_collections import ConfigDict

from stn_jax.experiments.distorted_mnist.config import make_config


def get_config(variant: str | None = None) -> ConfigDict:
    """Returns the config; `variant` names a network and a recipe, see `make_config`."""
    return make_config("rts", variant)
