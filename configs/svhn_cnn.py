"""Section 4.2, whole street numbers: the paper's CNN.

Command: python launch.py --config=configs/svhn_cnn.py[:SIZE][,DATA][,RECIPE]

The paper's sequence errors in per cent: 64 px 4.0, 128 px 5.6.
"""

from ml_collections import ConfigDict

from configs.street_numbers import make_config


def get_config(variant: str | None = None) -> ConfigDict:
    """`variant` names size, data and recipe; see `configs.street_numbers.make_config`."""
    return make_config("cnn", variant)
