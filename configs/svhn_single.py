"""Section 4.2, whole street numbers: ST-CNN Single, one affine transformer at the input.

Command: python launch.py --config=configs/svhn_single.py[:SIZE][,DATA][,RECIPE]

The paper's sequence errors in per cent: 64 px 3.7, 128 px 3.9.
"""

from ml_collections import ConfigDict

from configs.street_numbers import make_config


def get_config(variant: str | None = None) -> ConfigDict:
    """`variant` names size, data and recipe; see `configs.street_numbers.make_config`."""
    return make_config("single", variant)
