"""The shapes of stored pictures and of the crops that a network sees, by `config.data`."""

from ml_collections import ConfigDict

from stn_jax.errors import UserError

Shape = tuple[int, int]  # height and width, in pixels


def picture_shape(config: ConfigDict) -> Shape:
    return config.size, round(config.aspect * config.size)


def crop_shape(config: ConfigDict) -> Shape:
    """Returns the shape of a crop; raises UserError unless it fits the pictures."""
    if config.crop > config.size:
        raise UserError(
            f"config.data.crop must be at most {config.size} pixels (config.data.size), got "
            f"{config.crop}"
        )
    return config.crop, round(config.aspect * config.crop)
