"""Section 4.2, whole street numbers: ST-CNN Multi, four affine transformers in depth.

Command: python launch.py --config=configs/svhn_multi.py[:SIZE][,DATA][,RECIPE]

The paper's sequence errors in per cent: 64 px 3.6, 128 px 3.9.
Measured with synthetic_small (1,875 steps of 32, 60,000 examples), on one CPU core per run:
12.5, 12.6 and 12.6 per cent with seeds 0 to 2 (the plain CNN: 14.9, 16.0 and 18.0).
We have not yet trained on SVHN itself, or at the full widths.

For a few thousand real numbers in DIR, such as 4,827 stitched from SVHN's test crops, alone or with
as many drawn ones:

python launch.py --config=configs/svhn_multi.py:real_small[,drawn] --config.data.manual_dir=DIR

With drawn ones, 8.08 per cent of 965 real test numbers are read wrong, with a standard deviation of
0.65 over three seeds (185,376 examples, 10 to 25 minutes on one CPU core).
"""

from ml_collections import ConfigDict

from stn_jax.experiments.street_numbers.config import make_config


def get_config(variant: str | None = None) -> ConfigDict:
    """Returns the config; `variant` names size, data and recipe, see `make_config`."""
    return make_config("multi", variant)
