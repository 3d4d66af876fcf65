"""Traffic signs (GTSRB): ST-CNN Single, one affine transformer at the input.

Command: python launch.py --config=configs/gtsrb_single.py[:RECIPE]

37.2 million multiply-adds per picture of 32x32 pixels, 888,000 parameters.
Published errors in per cent: human 1.16, a committee of 25 CNNs 0.54 and a CNN with three
transformers 0.29, both at 48 px.
Measured: 0.72 on average, 0.86, 0.65 and 0.66 with seeds 0 to 2 (16 epochs at 32 px, about 20
minutes each on one CPU core).
"""

from ml_collections import ConfigDict

from stn_jax.experiments.traffic_signs.config import make_config


def get_config(variant: str | None = None) -> ConfigDict:
    """Returns the config; `variant` names a recipe, see `make_config`."""
    return make_config("single", variant)
