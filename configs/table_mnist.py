"""Section 4.1, distorted MNIST: the whole table, and rows that are not in the paper.

Command: stn-jax reproduce mnist [--budget=BUDGET] [--rows=PATTERN] [--seeds=N]

Rows are named as follows:

- DISTORTION-NETWORK: one of the paper's networks, or its FCN with 256 units per layer. On the
  budget `paper` it trains as in the paper, with 150k steps of SGD. On smaller budgets it trains
  with Adam and a one-cycle schedule, because a few epochs of SGD would say nothing about it.
- DISTORTION-NETWORK-modern: with batch normalisation and Adam. These rows include the CNN, as a
  fair baseline for the convolutional transformers, and a deep CNN of 3x3 convolutions.
- DISTORTION-NETWORK-regularised: the modern recipe with warped training digits, for many epochs.
- centred-NETWORK-modern: trained on upright digits in the middle of RTS's canvas. Beside the same
  network's rows of RTS, they show what the transformer and what distorted training digits are good
  for, when upright digits are turned, scaled and shifted for the test.
"""

from fnmatch import fnmatchcase

from ml_collections import ConfigDict

from stn_jax.experiments.distorted_mnist import published
from stn_jax.experiments.distorted_mnist.config import make_config
from stn_jax.experiments.reproduce.paper_tables import PaperTable, Row

PAPER_NETWORKS = {
    "fcn": "FCN",
    "cnn": "CNN",
    "st_fcn_affine": "ST-FCN affine",
    "st_fcn_projective": "ST-FCN projective",
    "st_fcn_tps": "ST-FCN TPS",
    "st_cnn_affine": "ST-CNN affine",
    "st_cnn_projective": "ST-CNN projective",
    "st_cnn_tps": "ST-CNN TPS",
}
MODERN_NETWORKS = {name: label for name, label in PAPER_NETWORKS.items() if "cnn" in name} | {
    "deep_cnn": "deep CNN",
    "st_deep_cnn_affine": "ST deep CNN affine",
    "st_deep_cnn_projective": "ST deep CNN projective",
    "st_deep_cnn_tps": "ST deep CNN TPS",
}
NETWORKS: dict[tuple[str, ...], dict[str, str]] = {
    (): PAPER_NETWORKS | {"fcn_256": "FCN of 256 units"},
    ("modern",): MODERN_NETWORKS,
    ("regularised",): PAPER_NETWORKS | {"st_deep_cnn_affine": "ST deep CNN affine"},
}
"""The label of each network, by recipe; () is the paper's recipe."""

MOVED = ("deep_cnn", "st_deep_cnn_affine")
"""The networks of the modern recipe that are tested on moved digits, trained on RTS or centred."""

_ADAM = {
    "batch_size": 64,
    "optimizer.name": "adam",
    "optimizer.momentum": 0.0,  # the paper's recipe has momentum; Adam takes none
    "optimizer.schedule": "one_cycle",
}
_RATE = {"optimizer.learning_rate": 1e-3}  # without batch normalisation, which tolerates more
# An example costs these rows five to twenty times as much as the others, because many more pixels
# reach their second convolution.
_SLOW = (
    "rts-cnn*",
    "p-cnn*",
    "tc-cnn*",
    *(f"p-{name}" for name in PAPER_NETWORKS if "st_cnn" in name),
)


def _budget(epochs: float, evaluations: int, slow_epochs: float, **data: str) -> dict[str, dict]:
    def length(epochs: float) -> dict:
        return {"num_epochs": epochs, "eval_every_epochs": epochs / evaluations}

    return {
        "*": _ADAM | length(epochs) | {f"data.{name}": value for name, value in data.items()},
        **{f"*-{name}": _RATE for name in NETWORKS[()]},
        **{pattern: length(slow_epochs) for pattern in _SLOW},
    }


BUDGETS: dict[str, tuple[str, dict[str, dict]]] = {
    "trial": (
        "5,000 digits that need no download, to try the command",
        _budget(8.0, 8, slow_epochs=1.0, source="embedded"),
    ),
    "minutes": (
        "8 epochs with Adam, 2 where an example costs much more: a few minutes per row on one CPU "
        "core, a quarter of an hour at most",
        _budget(8.0, 8, slow_epochs=2.0),
    ),
    "quarter_hour": (
        "24 epochs with Adam, 6 where an example costs much more: a quarter of an hour per row on "
        "one CPU core, half an hour at most",
        _budget(24.0, 12, slow_epochs=6.0),
    ),
    "hours": (
        "64 epochs with Adam, 16 where an example costs much more: 2 to 70 minutes per row on one "
        "CPU core",
        _budget(64.0, 16, slow_epochs=16.0),
    ),
    "night": (
        "128 epochs with Adam, 32 where an example costs much more: up to two and a half hours per "
        "row on one CPU core",
        _budget(128.0, 16, slow_epochs=32.0),
    ),
    "day": (
        "384 epochs with Adam, 96 where an example costs much more: up to seven hours per row on "
        "one CPU core",
        _budget(384.0, 24, slow_epochs=96.0),
    ),
    "paper": (
        "the paper's schedule, 640 epochs, with momentum 0.9, which the paper does not mention; "
        "rows of other recipes train on as many examples",
        {
            f"*-{name}": {"batch_size": 256, "num_epochs": 640.0, "eval_every_epochs": 8.0}
            for recipe in NETWORKS
            for name in recipe
        },
    ),
}
"""The description of each budget, and its settings by row pattern; later patterns win."""


def get_table() -> PaperTable:
    return PaperTable(
        title="Section 4.1, distorted MNIST: test error in per cent",
        source=published.SOURCE,
        rows=(
            *(
                Row(
                    name="-".join([distortion, network, *recipe]),
                    column=distortion.upper(),
                    network=label,
                    paper=errors.get(network.replace("deep_", "").removesuffix("_256")),
                    recipe="".join(recipe),
                    robustness=(distortion, recipe) == ("rts", ("modern",)) and network in MOVED,
                )
                for distortion, errors in published.ERRORS.items()
                for recipe, networks in NETWORKS.items()
                for network, label in networks.items()
            ),
            *(
                Row(
                    name=f"centred-{network}-modern",
                    column="centred",
                    network=MODERN_NETWORKS[network],
                    paper=None,
                    recipe="modern",
                    robustness=True,
                )
                for network in MOVED
            ),
        ),
        budgets={name: description for name, (description, _) in BUDGETS.items()},
        config=_config,
    )


def _config(row: str, budget: str) -> ConfigDict:
    distortion, network, *recipe = row.split("-")
    config = make_config(distortion, ",".join([network, *(recipe or ["paper"])]))
    config.name = f"{row}-{budget}"
    for pattern, settings in BUDGETS[budget][1].items():
        if fnmatchcase(row, pattern):
            config.update_from_flattened_dict(settings)
    return config
