"""The config for the user's own pictures."""

from ml_collections import ConfigDict

from stn_jax.errors import UserError, check_choice
from stn_jax.experiments.classification import settings
from stn_jax.experiments.classification.settings import EPOCHS
from stn_jax.experiments.config_fields import (
    Choice,
    Field,
    FilePath,
    FolderPath,
    Integer,
    Names,
    Pattern,
    Real,
    SideOrShape,
    Switch,
    Text,
)
from stn_jax.experiments.data.image_cache import FITS
from stn_jax.experiments.own_pictures.sources import CHANNELS, SPLITS

NUM_TRANSFORMERS = {"cnn": 0, "single": 1, "multi": 3}
"""By the word of a variant; `config.model.transformers` takes any number."""

LARGEST_SIZE = 512

FIELDS: dict[str, Field] = settings.fields(LARGEST_SIZE) | {
    "data.size": SideOrShape(16, LARGEST_SIZE),
    "data.dir": FolderPath(),
    "data.tfds": Text(most=200),
    "data.data_dir": FolderPath(),
    "data.split": Choice(SPLITS),
    "data.test_share": Real(0, 1, above=True, below=True),
    "data.split_seed": Integer(0, 2**32 - 1),
    "data.group": Pattern(most=200),
    "data.list": FilePath(),
    "data.subset": Integer(0, 2**31 - 1),
    "data.classes": Names(most=10_000),
    "data.digest": Text(most=16),
    "data.colours": Choice(tuple(CHANNELS)),
    "data.fit": Choice(FITS),
    "data.augment.mirror": Switch(),
    "model.transformers": Integer(0, 16),
}
"""What the settings of this task can be, besides those that all tasks have."""

VARIANTS = (tuple(NUM_TRANSFORMERS), tuple(EPOCHS))
"""The words of a variant, at most one of each kind."""


def make_config(variant: str | None) -> ConfigDict:
    """Returns the config.

    Args:
        variant: a network, "cnn", "single" (the default, one transformer at the input) or "multi"
            (three), and a recipe, "modern" (the default) or "quick" (a quarter of the epochs),
            separated by a comma, in any order; None for the defaults.

    Raises:
        UserError: a word is unknown, or there are two of a kind.
    """
    words = variant.split(",") if variant else []
    for word in words:
        check_choice(word, [*NUM_TRANSFORMERS, *EPOCHS], "variant")
    networks = [word for word in words if word in NUM_TRANSFORMERS] or ["single"]
    recipes = [word for word in words if word in EPOCHS] or ["modern"]
    if len(networks) > 1 or len(recipes) > 1:
        raise UserError(f"variant {variant!r}: name at most one network and one recipe")
    (network,), (recipe,) = networks, recipes
    config = settings.shared_defaults("own_pictures", recipe)
    config.name = f"image_folder_{network}-{recipe}"

    config.data.dir = ""  # folder with train/CLASS/*.png and test/CLASS/*.png, or see `split`
    config.data.tfds = ""  # instead of dir: a prepared data set of tensorflow-datasets
    # Folder of prepared data and of decoded pictures; "": tensorflow-datasets' default.
    config.data.data_dir = ""
    # What to test on: the folder test, or a part of all pictures (of train, if there is this
    # folder): a random share of each class, all pictures of some groups, or those of a list.
    config.data.split = "folders"  # or "random", "group", "list"
    config.data.test_share = 0.2  # with random and group
    config.data.split_seed = 0  # with random and group; does not depend on the seed of the run
    # With group: what a regular expression finds in CLASS/NAME. Here, the name of the file up to
    # its first _ or -.
    config.data.group = r"([^/_-]+)[^/]*$"
    config.data.list = ""  # with list: a text file, a line for each picture to test on
    config.data.subset = 0  # number of training pictures; 0: all
    config.data.classes = ()  # which classes, in the order of the scores; (): all, sorted
    config.data.digest = ""  # of the pictures that a run was started with; it sets this itself
    config.data.colours = "rgb"  # or "grey", a single channel
    # What becomes of pictures with other proportions than the size, which may also be a height and
    # a width: their edges are repeated, or only the middle is used, or they are stretched.
    config.data.fit = "pad"  # or "crop", "stretch"
    config.data.augment.mirror = False  # whether every other picture is mirrored left to right

    # At the input and after the first poolings.
    config.model.transformers = NUM_TRANSFORMERS[network]
    return config
