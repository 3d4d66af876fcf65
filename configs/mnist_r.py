"""Section 4.1, RTS: digits rotated, scaled and placed at random in 42x42 pixels."""

from ml_collections import ConfigDict

from configs.distorted_mnist import make_config


def get_config(variant: str | None = None) -> ConfigDict:
    return make_config("r", variant)
