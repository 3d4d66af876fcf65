"""The config that the experiments of section 4.1 share.

Each experiment has a separate config file, such as `mnist_rts.py`.
"""

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
from stn_jax.experiments.distorted_mnist.distortions import CANVAS, DIGIT_SIZE
from stn_jax.experiments.distorted_mnist.network import CLASSIFIERS, LOCALISATIONS
from stn_jax.experiments.distorted_mnist.sources import SOURCES
from stn_jax.transforms import FAMILIES

FIELDS: dict[str, Field] = {
    "data.source": Choice(SOURCES),
    "data.data_dir": FolderPath(),
    "data.manual_dir": FolderPath(),
    "data.subset": Integer(0, 10_000),  # a class of MNIST has fewer examples
    "data.distortion": Choice(tuple(CANVAS)),
    "data.augment.deformation": Real(0, DIGIT_SIZE, below=True),
    "data.augment.linear": Real(0, 1),
    "model.classifier": Choice(tuple(CLASSIFIERS)),
    "model.features": Widths(most_layers=4, most=16_384),
    "model.batch_norm": Switch(),
    "model.dropout": Real(0, 1, below=True),
    "model.dtype": Choice(DTYPES),
    "model.family": Choice(("none", *FAMILIES)),
    "model.localisation": Choice(tuple(LOCALISATIONS)),
    "model.output_size": Integer(0, 1024),  # 17 times the largest canvas
    "model.pool": Integer(1, 1024),
}
"""What the settings of this task can be, besides those that all tasks have."""

MODELS = {
    "fcn": ("fcn", "none"),
    "fcn_256": ("fcn", "none"),
    "cnn": ("cnn", "none"),
    "st_fcn_affine": ("fcn", "affine"),
    "st_fcn_projective": ("fcn", "projective"),
    "st_fcn_tps": ("fcn", "tps"),
    "st_cnn_affine": ("cnn", "affine"),
    "st_cnn_projective": ("cnn", "projective"),
    "st_cnn_tps": ("cnn", "tps"),
    "deep_cnn": ("deep_cnn", "none"),
    "st_deep_cnn_affine": ("deep_cnn", "affine"),
    "st_deep_cnn_projective": ("deep_cnn", "projective"),
    "st_deep_cnn_tps": ("deep_cnn", "tps"),
}
"""Classifier and transformation family of each network.

These are the paper's eight networks; its FCN with 256 units per layer, the largest width that the
paper mentions, instead of 400k parameters (270k to 990k, depending on the canvas); and four
networks with a modern classifier of 3x3 convolutions."""

_DEEP_FEATURES, _WIDE_DEEP_FEATURES = (32, 64, 64, 128), (48, 96, 96, 384)
# Widths of the paper's classifiers, chosen so that each network except fcn_256 has about 400k
# parameters. The keys are the canvas size or, with a transformer, the canvas size and the size of
# the classifier's input, in pixels.
_FEATURES: dict[str, dict] = {
    "fcn": {28: (350, 350), 42: (202, 202), 60: (108, 108)},
    "fcn_256": {28: (256, 256), 42: (256, 256), 60: (256, 256)},
    "cnn": {28: (32, 247), 42: (32, 206), 60: (32, 155)},
    "st_fcn": {
        (28, 28): (330, 330),
        (42, 21): (400, 400),
        (42, 28): (308, 308),
        (42, 42): (174, 174),
        (60, 30): (244, 244),
    },
    "st_cnn": {
        (28, 28): (64, 121),
        (42, 21): (64, 119),
        (42, 28): (64, 118),
        (42, 42): (64, 107),
        (60, 30): (64, 109),
    },
}


def make_config(distortion: str, variant: str | None) -> ConfigDict:
    """Returns the config of one distortion.

    Args:
        distortion: "r", "rts", "p", "e", "tc" or "centred".
        variant: one of `MODELS` (default st_cnn_affine) and a recipe, "modern" (the default),
            "regularised" or "paper", separated by a comma, in any order; None for the defaults.
    """
    words = variant.split(",") if variant else []
    for word in words:
        check_choice(word, [*MODELS, *_RECIPES], "variant")
    models = [word for word in words if word in MODELS] or ["st_cnn_affine"]
    recipes = [word for word in words if word in _RECIPES] or ["modern"]
    if len(models) > 1 or len(recipes) > 1:
        raise UserError(f"variant {variant!r}: name at most one network and one recipe")
    (model,), (recipe,) = models, recipes
    classifier, family = MODELS[model]
    config = ConfigDict()
    config.name = f"mnist_{distortion}-{model}-{recipe}"
    config.task = "distorted_mnist"
    config.seed = 0

    config.data = ConfigDict()
    config.data.source = "tfds"  # or "embedded": 5,000 digits that need no download
    config.data.data_dir = ""  # where tensorflow-datasets keeps prepared data; "": its default
    config.data.manual_dir = ""  # folder with MNIST's four archives, instead of a download
    config.data.subset = 0  # number of examples per class; 0: all
    config.data.distortion = distortion
    # Applied to training digits. deformation: the deviation of `random_warp`, in pixels; linear:
    # the deviation of `random_linear_map`, a map about the centre.
    config.data.augment = ConfigDict({"deformation": 0.0, "linear": 0.0})

    config.model = ConfigDict()
    config.model.classifier = classifier
    config.model.batch_norm = False
    config.model.dropout = 0.0  # rate before the class scores
    config.model.dtype = "float32"  # for arithmetic; or "bfloat16"
    config.model.family = family
    config.model.localisation = "fcn" if classifier == "fcn" else "cnn"
    config.model.output_size = 0  # of the transformer, in pixels; 0: as large as its input
    # The paper average-pools the transformer's output by 2 where the canvas has room to spare.
    config.model.pool = 2 if distortion in ("rts", "tc", "centred") else 1

    config.optimizer = ConfigDict()
    config.optimizer.momentum = 0.0
    config.optimizer.drops = 2
    config.optimizer.weight_decay = 0.0
    config.optimizer.localisation_multiplier = 1.0

    config.keep_checkpoints = 3
    config.log_every = 1  # in steps; a dispatch is recorded as a whole
    config.log = ConfigDict({"film": False})  # figures/training.gif, which shows the training
    config.eval_batch_size = 1000
    _RECIPES[recipe](config)

    canvas = CANVAS[distortion]
    if classifier == "deep_cnn":
        is_regularised = recipe == "regularised"
        config.model.features = _WIDE_DEEP_FEATURES if is_regularised else _DEEP_FEATURES
    elif family == "none":
        config.model.features = _FEATURES[model][canvas]
    else:
        size = (config.model.output_size or canvas) // config.model.pool
        config.model.features = _FEATURES[f"st_{classifier}"][canvas, size]
    return config


def _paper_recipe(config: ConfigDict) -> None:
    """Sets SGD for 150k steps, with the learning rate divided by 10 every 50k.

    The paper does not mention momentum. The note on `p-fcn` in `results/README.md` explains why it
    is used here.
    """
    config.batch_size = 256
    config.num_epochs = 640.0
    config.eval_every_epochs = 8.0
    config.steps_per_dispatch = 50
    config.optimizer.name = "sgd"
    config.optimizer.momentum = 0.9
    config.optimizer.schedule = "staircase"
    config.optimizer.learning_rate = 0.01


def _modern_recipe(config: ConfigDict) -> None:
    """Sets batch normalisation and Adam with a one-cycle schedule: minutes instead of hours.

    For RTS, P and centred digits, the transformer samples 56x56 points, which are pooled to 28x28,
    the size of a digit. This avoids the aliasing of 28x28 points. It is finer than the paper's
    21x21 for RTS, and for P it trains three times as fast on a CPU as the paper's 42x42.
    """
    if config.data.distortion in ("rts", "p", "centred"):
        config.model.output_size, config.model.pool = 56, 2
    config.batch_size = 64
    config.num_epochs = 8.0
    config.eval_every_epochs = 1.0
    config.steps_per_dispatch = 50
    config.model.batch_norm = True
    config.optimizer.name = "adam"
    config.optimizer.schedule = "one_cycle"
    config.optimizer.learning_rate = 5e-3 if config.model.classifier == "deep_cnn" else 2e-3


def _regularised_recipe(config: ConfigDict) -> None:
    """Sets the modern recipe for many epochs, with regularisation against overfitting.

    Each time a training digit is seen, it is slightly deformed, rotated, stretched and sheared at
    random. Half of a CNN's last features are dropped; an FCN has none to spare. The deep CNN is
    wider, and reads 20x20 pixels, the size of a digit's box, which costs a third of 28x28. These
    are pooled from 40x40 points, to reduce the aliasing of rotated digits.
    """
    _modern_recipe(config)
    config.num_epochs = 64.0
    config.eval_every_epochs = 4.0
    config.data.augment.deformation = 0.5
    config.data.augment.linear = 0.1
    if config.model.classifier == "fcn":
        config.optimizer.learning_rate = 5e-3
    else:
        config.model.dropout = 0.5
    if config.model.classifier == "deep_cnn" and config.model.family != "none":
        config.model.output_size, config.model.pool = 40, 2


_RECIPES = {"modern": _modern_recipe, "regularised": _regularised_recipe, "paper": _paper_recipe}

VARIANTS = tuple(MODELS), tuple(_RECIPES)
"""The words of a variant, at most one of each kind."""
