"""Section 4.2, whole street numbers: ST-CNN Single, one affine transformer at the input.

Command: python launch.py --config=configs/svhn_single.py[:SIZE][,DATA][,RECIPE]

The paper's sequence errors in per cent: 64 px 3.7, 128 px 3.9.
Measured with synthetic_small (1,250 steps of 32, 40,000 examples), seed 0, on 2 CPU cores: 31.7 in
14 minutes of training beside other jobs; the plain CNN is no worse after so few examples (28.8).
SVHN itself and the full widths have not been trained by us yet.
"""

from ml_collections import ConfigDict

from configs.street_numbers import make_config


def get_config(variant: str | None = None) -> ConfigDict:
    """`variant` names size, data and recipe; see `configs.street_numbers.make_config`."""
    return make_config("single", variant)
