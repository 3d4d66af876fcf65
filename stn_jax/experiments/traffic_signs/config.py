"""The config of the experiments on GTSRB; each network has its own file, such as `gtsrb_cnn.py`."""

from ml_collections import ConfigDict

from stn_jax.errors import check_choice
from stn_jax.experiments.config_fields import (
    Choice,
    Field,
    FolderPath,
    Integer,
    Places,
    Real,
    Widths,
)
from stn_jax.experiments.traffic_signs.network import DTYPES, NUM_TRANSFORMERS
from stn_jax.experiments.traffic_signs.preprocessing import CONTRASTS
from stn_jax.experiments.traffic_signs.sources import EVALUATE_ON, MOST_HELD_OUT
from stn_jax.transforms import FAMILIES

_MOST_LAYERS = 16

FIELDS: dict[str, Field] = {
    "data.data_dir": FolderPath(),
    "data.manual_dir": FolderPath(),
    "data.subset": Integer(0, 39_209),
    "data.held_out": Real(0, MOST_HELD_OUT),
    "data.evaluate_on": Choice(EVALUATE_ON),
    "data.size": Integer(16, 128),
    "data.context": Real(1, 100, or_zero=True),
    "data.contrast": Choice(tuple(CONTRASTS)),
    "data.augment.rotation": Real(0, 180),
    "data.augment.scale": Real(0, 1, below=True),
    "data.augment.shift": Real(0, 1),
    "data.augment.brightness": Real(0, 1),
    "data.augment.contrast": Real(0, 1),
    "model.network": Choice(tuple(NUM_TRANSFORMERS)),
    "model.filters": Widths(_MOST_LAYERS, most=4096),
    "model.pooled": Places(_MOST_LAYERS, most=_MOST_LAYERS),
    "model.features": Widths(_MOST_LAYERS, most=16_384),
    "model.family": Choice(FAMILIES),
    "model.localisation_filters": Widths(_MOST_LAYERS, most=4096),
    "model.localisation_features": Widths(_MOST_LAYERS, most=16_384),
    "model.dropout": Real(0, 1, below=True),
    "model.dtype": Choice(DTYPES),
}
"""What the settings of this task can be, besides those that all tasks have."""

EPOCHS = {"modern": 16.0, "quick": 4.0}
"""The length of the training, by recipe."""

VARIANTS = (tuple(EPOCHS),)
"""The words of a variant, at most one of each kind."""


def make_config(network: str, variant: str | None) -> ConfigDict:
    """Returns the config of one network.

    Args:
        network: "cnn", "single" or "multi".
        variant: a recipe, "modern" (tens of minutes on two CPU cores) or "quick" (a few minutes);
            None for "modern".

    Raises:
        UserError: the recipe is unknown.
    """
    recipe = variant or "modern"
    check_choice(recipe, EPOCHS, "variant")

    config = ConfigDict()
    config.name = f"gtsrb_{network}-{recipe}"
    config.task = "traffic_signs"
    config.seed = 0

    config.data = ConfigDict()
    config.data.data_dir = ""  # folder of prepared data; "": tensorflow-datasets' default
    config.data.manual_dir = ""  # folder with GTSRB's three archives; "": download them
    config.data.subset = 0  # number of training examples; 0: all
    # Share of each class's tracks that is set aside. A track is a series of photographs of one
    # sign, so other photographs of a sign that was trained on would say little.
    config.data.held_out = 0.0
    config.data.evaluate_on = "test"  # or "held_out", for choosing settings
    config.data.size = 32
    config.data.context = 0.0  # the box around the sign, enlarged by this; 0: the whole picture
    config.data.contrast = "equalise"  # of each picture; or "none", "standardise"
    # In degrees, as a factor of 1 +- scale, and as a fraction of the picture's side.
    config.data.augment = ConfigDict({"rotation": 10.0, "scale": 0.1, "shift": 0.1})
    config.data.augment.update({"brightness": 0.2, "contrast": 0.3})

    config.model = ConfigDict()
    config.model.network = network
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
