"""Your own pictures: a classifier with a spatial transformer, from folders of pictures.

Command: python launch.py --config=configs/image_folder.py[:NETWORK][,RECIPE] --config.data.dir=DIR

DIR holds DIR/train/CLASS/*.jpg|png|... and DIR/test/CLASS/*; a split by seed, list or group, and
other settings are in docs/own_pictures.md. NETWORK is cnn, single or multi.
Measured with German traffic signs (39,209 pictures of 32x32 pixels): see docs/own_pictures.md.
"""

from ml_collections import ConfigDict

from stn_jax.experiments.own_pictures.config import make_config


def get_config(variant: str | None = None) -> ConfigDict:
    """Returns the config; `variant` names a network and a recipe, see `make_config`."""
    return make_config(variant)
