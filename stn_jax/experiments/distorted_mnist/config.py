"""What the experiments of section 4.1 share; each has its own file, such as `mnist_rts.py`."""

from ml_collections import ConfigDict

from stn_jax.errors import UserError, check_choice
from stn_jax.experiments.distorted_mnist.distortions import CANVAS

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
"""Classifier and transformation family: the paper's eight networks; its FCN with 256 units a
layer, the most that it speaks of, in place of 400k parameters (270k to 990k, by the canvas); and
four whose classifier is as one would make it today, of 3x3 convolutions."""

_DEEP_FEATURES, _WIDE_DEEP_FEATURES = (32, 64, 64, 128), (48, 96, 96, 384)
# Widths of the paper's classifiers, so that each network but fcn_256 has about 400k parameters; by
# the canvas and, where a transformer is before it, the size of the classifier's own input, in
# pixels.
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
    """The config of one distortion.

    Args:
        distortion: "r", "rts", "p", "e" or "tc".
        variant: comma-separated: one of `MODELS` (default st_cnn_affine) and a recipe, "modern"
            (the default), "regularised" or "paper", in any order; None for the defaults.
    """
    words = variant.split(",") if variant else []
    for word in words:
        check_choice(word, [*MODELS, *_RECIPES], "variant")
    models = [word for word in words if word in MODELS] or ["st_cnn_affine"]
    recipes = [word for word in words if word in _RECIPES] or ["modern"]
    if len(models) > 1 or len(recipes) > 1:
        raise UserError(f"variant {variant!r}: name one network and one recipe at most")
    (model,), (recipe,) = models, recipes
    classifier, family = MODELS[model]
    config = ConfigDict()
    config.name = f"mnist_{distortion}-{model}-{recipe}"
    config.task = "distorted_mnist"
    config.seed = 0

    config.data = ConfigDict()
    config.data.source = "tfds"  # or "embedded": 5,000 digits that need no download
    config.data.data_dir = ""  # where tensorflow-datasets keeps prepared data; "": its default
    config.data.manual_dir = ""  # folder with MNIST's four archives, in place of a download
    config.data.subset = 0  # so many examples per class; 0: all
    config.data.distortion = distortion
    # Of training digits; deformation: by so many pixels (`random_warp`'s deviation); linear: by a
    # map about the centre (`random_linear_map`'s deviation).
    config.data.augment = ConfigDict(
        {"deformation": 0.0, "linear": 0.0, "shift": 0, "brightness": 0.0, "contrast": 0.0}
    )

    config.model = ConfigDict()
    config.model.classifier = classifier
    config.model.batch_norm = False
    config.model.dropout = 0.0  # rate before the class scores
    config.model.family = family
    config.model.localisation = "fcn" if classifier == "fcn" else "cnn"
    config.model.output_size = 0  # of the transformer, in pixels; 0: as its input
    # The paper average-pools the transformer's output by 2 where the canvas has room to spare.
    config.model.pool = 2 if distortion in ("rts", "tc") else 1

    config.optimizer = ConfigDict()
    config.optimizer.momentum = 0.0
    config.optimizer.drops = 2
    config.optimizer.weight_decay = 0.0
    config.optimizer.localisation_multiplier = 1.0

    config.keep_checkpoints = 3
    config.log_every = 1  # steps; a dispatch is recorded as a whole
    config.log = ConfigDict({"film": False})  # figures/training.gif, of how the network learns
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
    """SGD for 150k steps; the learning rate falls by 10 every 50k.

    Momentum is not in the paper; why there is some: the note of `p-fcn` in `results/README.md`.
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
    """Batch normalisation and Adam along one cycle: minutes in place of hours.

    For RTS and P the transformer samples 56x56 points that are pooled to 28x28, a digit's own size:
    without the aliasing of 28x28 points, finer than the paper's 21x21 for RTS, and for P three
    times as fast to train on a CPU as its 42x42.
    """
    if config.data.distortion in ("rts", "p"):
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
    """The modern recipe for many epochs, after which a network knows its training digits by heart.

    Every training digit is deformed, turned, stretched and sheared a little anew. Half of a CNN's
    last features are dropped; an FCN has none to spare. The deep CNN is wider, and reads 20x20
    pixels, the size of a digit's box, which costs a third of 28x28; they are pooled from 40x40
    points, so that a turned digit is less aliased.
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
