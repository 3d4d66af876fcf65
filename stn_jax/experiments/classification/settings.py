"""The settings that experiments with photographs share, and their defaults."""

from ml_collections import ConfigDict

from stn_jax.errors import check_choice
from stn_jax.experiments.classification.preprocessing import CONTRASTS
from stn_jax.experiments.config_fields import DTYPES, Choice, Field, Integer, Places, Real, Widths
from stn_jax.transforms import FAMILIES

_MOST_LAYERS = 16

EPOCHS = {"modern": 16.0, "quick": 4.0}
"""The length of the training, by recipe."""


def fields(largest_size: int) -> dict[str, Field]:
    """Returns what the shared settings can be, for images of up to `largest_size` pixels."""
    return {
        "data.size": Integer(16, largest_size),
        "data.contrast": Choice(tuple(CONTRASTS)),
        "data.augment.rotation": Real(0, 180),
        "data.augment.scale": Real(0, 1, below=True),
        "data.augment.shift": Real(0, 1),
        "data.augment.brightness": Real(0, 1),
        "data.augment.contrast": Real(0, 1),
        "model.filters": Widths(_MOST_LAYERS, most=4096),
        "model.pooled": Places(_MOST_LAYERS, most=_MOST_LAYERS),
        "model.features": Widths(_MOST_LAYERS, most=16_384),
        "model.family": Choice(FAMILIES),
        "model.localisation_filters": Widths(_MOST_LAYERS, most=4096),
        "model.localisation_features": Widths(_MOST_LAYERS, most=16_384),
        "model.dropout": Real(0, 1, below=True),
        "model.dtype": Choice(DTYPES),
    }


def shared_defaults(task: str, recipe: str) -> ConfigDict:
    """Returns a config with all settings but the task's own and the name.

    Args:
        task: the name of the task.
        recipe: "modern" or "quick", which decides the length of the training.

    Raises:
        UserError: the recipe is unknown.
    """
    check_choice(recipe, EPOCHS, "variant")
    config = ConfigDict()
    config.task = task
    config.seed = 0

    config.data = ConfigDict()
    config.data.size = 32
    config.data.contrast = "equalise"  # of each picture; or "none", "standardise"
    # In degrees, as a factor of 1 +- scale, and as a fraction of the picture's side.
    config.data.augment = ConfigDict({"rotation": 10.0, "scale": 0.1, "shift": 0.1})
    config.data.augment.update({"brightness": 0.2, "contrast": 0.3})

    config.model = ConfigDict()
    config.model.filters = (32, 64, 64, 128, 128, 256)
    config.model.pooled = (1, 3, 5, 6)  # convolutions that are followed by pooling, from 1
    config.model.features = (256,)
    config.model.family = "affine"
    config.model.localisation_filters = (16, 16)
    config.model.localisation_features = (32,)
    config.model.dropout = 0.4
    config.model.dtype = "float32"  # for arithmetic; or "bfloat16"

    config.batch_size = 128
    config.eval_batch_size = 256
    config.num_epochs = EPOCHS[recipe]
    config.eval_every_epochs = config.num_epochs / 8
    config.log_every = 50  # steps
    # Whether to write figures/training.gif, an animation of how the network learns.
    config.log = ConfigDict({"film": False})
    config.steps_per_dispatch = 1  # a single step takes long enough
    config.keep_checkpoints = 2
    config.optimizer = ConfigDict()
    config.optimizer.name = "adam"
    config.optimizer.momentum = 0.0
    config.optimizer.schedule = "one_cycle"
    config.optimizer.drops = 0
    config.optimizer.learning_rate = 3e-3
    config.optimizer.weight_decay = 0.0
    config.optimizer.localisation_multiplier = 0.3
    return config
