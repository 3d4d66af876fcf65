"""The config of the experiments on GTSRB; each network has its own file, such as `gtsrb_cnn.py`."""

from ml_collections import ConfigDict

from stn_jax.experiments.classification import settings
from stn_jax.experiments.classification.settings import EPOCHS
from stn_jax.experiments.config_fields import Choice, Field, FolderPath, Integer, Real
from stn_jax.experiments.traffic_signs.sources import EVALUATE_ON, MOST_HELD_OUT

NUM_TRANSFORMERS = {"cnn": 0, "single": 1, "multi": 3}
"""By `config.model.network`."""

FIELDS: dict[str, Field] = settings.fields(largest_size=128) | {
    "data.data_dir": FolderPath(),
    "data.manual_dir": FolderPath(),
    "data.subset": Integer(0, 39_209),
    "data.held_out": Real(0, MOST_HELD_OUT),
    "data.evaluate_on": Choice(EVALUATE_ON),
    "data.context": Real(1, 100, or_zero=True),
    "model.network": Choice(tuple(NUM_TRANSFORMERS)),
}
"""What the settings of this task can be, besides those that all tasks have."""

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
    config = settings.shared_defaults("traffic_signs", recipe)
    config.name = f"gtsrb_{network}-{recipe}"
    config.data.data_dir = ""  # folder of prepared data; "": tensorflow-datasets' default
    config.data.manual_dir = ""  # folder with GTSRB's three archives; "": download them
    config.data.subset = 0  # number of training examples; 0: all
    # Share of each class's tracks that is set aside. A track is a series of photographs of one
    # sign, so other photographs of a sign that was trained on would say little.
    config.data.held_out = 0.0
    config.data.evaluate_on = "test"  # or "held_out", for choosing settings
    # There is no mirroring: a mirrored sign has another meaning.
    config.data.context = 0.0  # the box around the sign, enlarged by this; 0: the whole picture
    config.model.network = network
    return config
