"""The config of the experiments of section 4.2; each has its own file, such as `svhn_multi.py`."""

from ml_collections import ConfigDict

from stn_jax.errors import UserError, check_choice
from stn_jax.experiments.config_fields import (
    DTYPES,
    Choice,
    Field,
    FolderPath,
    Integer,
    Real,
    Switch,
    Widths,
)
from stn_jax.experiments.street_numbers.drawn.drawing import LAYOUTS
from stn_jax.experiments.street_numbers.network import NETWORKS, NUM_CONVOLUTIONS
from stn_jax.experiments.street_numbers.sources import EVALUATE_ON, SOURCES
from stn_jax.transforms import FAMILIES

_MOST_NUMBERS = 1_000_000  # SVHN has 235,754 to train on

FIELDS: dict[str, Field] = {
    "data.source": Choice(SOURCES),
    "data.data_dir": FolderPath(),
    "data.manual_dir": FolderPath(),
    "data.subset": Integer(0, _MOST_NUMBERS),
    "data.held_out": Integer(0, _MOST_NUMBERS),
    "data.evaluate_on": Choice(EVALUATE_ON),
    "data.composed": Integer(0, _MOST_NUMBERS),
    "data.drawn": Integer(0, _MOST_NUMBERS),
    "data.size": Integer(16, 512),  # SVHN's pictures are at most about 500 pixels high
    "data.aspect": Real(1, 4),
    "data.crop": Integer(16, 512),
    "data.context": Real(1, 100, or_zero=True),
    "data.letterbox": Switch(),
    "data.standardise": Switch(),
    "data.augment.brightness": Real(0, 1),
    "data.augment.contrast": Real(0, 1),
    "data.augment.linear": Real(0, 1),
    "data.augment.shift": Real(0, 1),
    "data.augment.invert": Switch(),
    "data.synthetic.layout": Choice(LAYOUTS),
    "data.synthetic.train": Integer(1, _MOST_NUMBERS),
    "data.synthetic.test": Integer(1, _MOST_NUMBERS),
    "data.synthetic.seed": Integer(0, 2**32 - 1),
    "model.network": Choice(NETWORKS),
    "model.filters": Widths(NUM_CONVOLUTIONS, most=4096, least_layers=NUM_CONVOLUTIONS),
    "model.kernel_size": Integer(1, 15),
    "model.poolings": Integer(0, NUM_CONVOLUTIONS // 2),
    "model.attention": Switch(),
    "model.features": Widths(most_layers=16, most=16_384),
    "model.family": Choice(FAMILIES),
    "model.localisation_filters": Widths(most_layers=16, most=4096),
    "model.localisation_features": Widths(most_layers=16, most=16_384),
    "model.batch_norm": Switch(),
    "model.dropout": Real(0, 1, below=True),
    "model.dtype": Choice(DTYPES),
}
"""What the settings of this task can be, besides those that all tasks have."""

SIZES = ("64", "128")
DATA = ("svhn", "synthetic", "synthetic_small", "real_small")
DRAWN = ("drawn",)
RECIPES = ("modern", "paper")
VARIANTS = SIZES, (*DATA, "real_small,drawn"), RECIPES
"""The words of a variant, at most one of each kind."""


def make_config(network: str, variant: str | None) -> ConfigDict:
    """Returns the config of one network.

    Args:
        network: "cnn", "single" or "multi".
        variant: comma-separated words in any order, at most one each of `SIZES` (default 64; 128
            for synthetic_small; real_small has its own), `DATA` (default svhn) and `RECIPES`
            (default modern), and drawn, which adds drawn numbers to the real ones of real_small,
            and others that are composed of them; None for the defaults.

    Raises:
        UserError: a word is unknown, or two words exclude each other.
    """
    words = variant.split(",") if variant else []
    for word in words:
        check_choice(word, [*SIZES, *DATA, *RECIPES, *DRAWN], "variant")
    data = _one_of(DATA, words) or "svhn"
    if data == "real_small":
        if _one_of(SIZES, words):
            raise UserError(f"variant {variant!r}: real_small has a size of its own: leave it out")
    elif _one_of(DRAWN, words):
        raise UserError(f"variant {variant!r}: drawn goes with real_small: use real_small,drawn")
    size = int(_one_of(SIZES, words) or ("128" if data == "synthetic_small" else "64"))
    recipe = _one_of(RECIPES, words) or "modern"

    config = ConfigDict()
    config.name = f"svhn_{network}-{size}-{data}-{recipe}"
    config.task = "street_numbers"
    config.seed = 0

    config.data = ConfigDict()
    config.data.source = "svhn"  # or "synthetic": generated, without a download
    config.data.data_dir = ""  # folder of prepared data; "": tensorflow-datasets' default
    config.data.manual_dir = ""  # folder with train, extra and test.tar.gz; "": download them
    config.data.subset = 0  # number of training examples; 0: all
    config.data.held_out = 5000  # training examples set aside
    config.data.evaluate_on = "test"  # or "held_out", for choosing settings
    config.data.composed = 0  # numbers composed of training examples and added to them
    config.data.drawn = 0  # synthetic numbers added to the training examples, if source is "svhn"
    config.data.size = size  # height of a picture, in pixels
    config.data.aspect = 1.0  # width of a picture and of a crop, divided by the height
    # A crop of 112 results in 7x7 pixels after four poolings. It leaves 16 of 128 pixels for random
    # shifts, which is about the same share that a crop of 54 leaves of 64.
    config.data.crop = {64: 54, 128: 112}[size]
    # The picture shows the box around all digits, enlarged by this factor; 0: the whole picture.
    # At 128 pixels, 2.6 shows digits of the same size as 1.3 does at 64, in four times the area.
    config.data.context = {64: 1.3, 128: 2.6}[size]
    # Whether pictures keep their proportions, and the rest of the frame repeats their edges.
    config.data.letterbox = False
    config.data.standardise = False  # whether a crop is divided by its standard deviation
    config.data.augment = ConfigDict(
        {"brightness": 0.2, "contrast": 0.2, "linear": 0.0, "shift": 0.0, "invert": False}
    )
    config.data.synthetic = ConfigDict(
        {"layout": "close", "train": 20_000, "test": 2000, "seed": 0}  # if source is "synthetic"
    )

    config.model = ConfigDict()
    config.model.network = network
    config.model.filters = (48, 64, 128, 160, 192, 192, 192, 192)
    config.model.kernel_size = 5
    config.model.poolings = 4
    config.model.attention = False
    config.model.features = (3072, 3072, 3072)
    config.model.family = "affine"
    config.model.localisation_filters = (32, 32)
    config.model.localisation_features = (32, 32)
    config.model.dtype = "float32"  # for arithmetic; or "bfloat16"

    config.batch_size = 128
    config.eval_batch_size = 256
    config.eval_every_epochs = 1.0
    config.log_every = 50  # steps
    # Whether to write figures/training.gif, an animation of how the network learns.
    config.log = ConfigDict({"film": False})
    config.steps_per_dispatch = 1  # a single step takes long enough
    config.keep_checkpoints = 2
    config.optimizer = ConfigDict()
    {"paper": _paper_recipe, "modern": _modern_recipe}[recipe](config)
    if data.startswith("synthetic"):
        config.data.source = "synthetic"
        config.data.held_out = 0
        if size == 128:
            config.data.synthetic.layout = "wide"  # puts the number anywhere in the frame
            config.data.context = 0.0
    if data == "synthetic_small":
        _shrink(config)
    if data == "real_small":
        _fit_small_pictures(config)
        config.name = f"svhn_{network}-{data}-{recipe}"
    if _one_of(DRAWN, words):
        _add_drawn(config)
    return config


def _one_of(choices: tuple[str, ...], words: list[str]) -> str | None:
    chosen = [word for word in words if word in choices]
    if len(chosen) > 1:
        raise UserError(f"variant {','.join(words)!r}: choose at most one of {', '.join(choices)}")
    return chosen[0] if chosen else None


def _paper_recipe(config: ConfigDict) -> None:
    """Sets SGD for 400k steps; the learning rate falls by a factor of 10 every 80k steps.

    The paper does not mention momentum.
    """
    config.data.augment.update({"brightness": 0.0, "contrast": 0.0})  # random crops only
    config.num_epochs = 222.0
    config.model.batch_norm = False
    config.model.dropout = 0.5
    config.optimizer.name = "sgd"
    config.optimizer.momentum = 0.9
    config.optimizer.schedule = "staircase"
    config.optimizer.drops = 4
    config.optimizer.learning_rate = 0.01
    config.optimizer.weight_decay = 5e-4
    config.optimizer.localisation_multiplier = 0.1


def _modern_recipe(config: ConfigDict) -> None:
    """Sets batch normalisation, and Adam with a one-cycle schedule."""
    config.num_epochs = 10.0
    config.model.batch_norm = True
    config.model.dropout = 0.2
    config.optimizer.name = "adam"
    config.optimizer.momentum = 0.0
    config.optimizer.schedule = "one_cycle"
    config.optimizer.drops = 0
    config.optimizer.learning_rate = 1e-3
    config.optimizer.weight_decay = 0.0
    config.optimizer.localisation_multiplier = 0.3


def _shrink(config: ConfigDict) -> None:
    """Reduces widths and training so that a run takes minutes, not hours, on two CPU cores."""
    config.data.synthetic.test = 1000
    # Multiples of 8, for which the CPU's convolutions are fast.
    config.model.filters = (8, 16, 16, 32, 32, 32, 32, 32)
    config.model.features = (256,)
    # Two more poolings than the paper: the number is small and may be anywhere in 128 pixels.
    config.model.localisation_filters = (8, 16, 16, 32)
    config.batch_size = 32
    config.num_epochs = 3.0
    config.eval_every_epochs = 0.5
    config.log_every = 10
    if config.optimizer.name == "adam":
        config.model.dropout = 0.0  # unnecessary in such a short training
        config.optimizer.learning_rate = 2e-3
        config.optimizer.localisation_multiplier = 1.0


def _fit_small_pictures(config: ConfigDict) -> None:
    """Fits a few thousand pictures of about 50x33 pixels that show little beside the digits."""
    config.data.held_out = 0
    config.data.size = config.data.crop = 32  # random maps take the place of random crops
    config.data.aspect = 2.0  # a digit has one size, however long the number is
    config.data.letterbox = True
    config.data.standardise = True
    config.data.context = 0.0
    config.data.synthetic.layout = "tight"
    config.data.augment.update({"linear": 0.08, "shift": 0.08, "invert": True})
    config.model.filters = (16, 32, 48, 64, 96, 128, 128, 192)
    config.model.kernel_size = 3
    config.model.poolings = 3
    config.model.attention = True  # few numbers are long: each place learns from all others
    config.model.features = (256,)
    config.model.localisation_filters = (8, 16)
    config.batch_size = 32
    config.num_epochs = 48.0
    config.eval_every_epochs = 8.0
    config.log_every = 10
    if config.optimizer.name == "adam":
        config.model.dropout = 0.1
        config.optimizer.learning_rate = 2e-3


def _add_drawn(config: ConfigDict) -> None:
    """Adds a drawn number and four composed ones to each of 3,862 real ones, for as many steps."""
    config.name += "-drawn"
    config.data.drawn = 3862
    config.data.composed = 4 * 3862
    config.num_epochs /= 6
    config.eval_every_epochs /= 6
