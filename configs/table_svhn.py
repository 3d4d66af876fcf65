"""Section 4.2, whole street numbers: the paper's three networks at two sizes.

Command: stn-jax reproduce svhn [--budget=BUDGET] [--rows=PATTERN] [--seeds=N]

Rows are named SIZE-NETWORK. Budgets below the paper's use synthetic numbers, whose errors are not
comparable with those on SVHN; the results say so.
"""

from ml_collections import ConfigDict

from stn_jax.experiments.reproduce.paper_tables import PaperTable, Row
from stn_jax.experiments.street_numbers import published
from stn_jax.experiments.street_numbers.config import make_config

NETWORKS = {
    "cnn": ("cnn", "CNN"),
    "single": ("st_cnn_single", "ST-CNN Single"),
    "multi": ("st_cnn_multi", "ST-CNN Multi"),
}
"""`model_name` and label, by the name that `make_config` takes."""

BUDGETS: dict[str, tuple[str, str, dict]] = {
    "trial": (
        "640 synthetic numbers, to try the command",
        "synthetic_small,modern",
        {"data.synthetic.train": 640, "data.synthetic.test": 200},
    ),
    "minutes": (
        "20,000 synthetic numbers, narrow networks, 3 epochs: a few minutes per row on 2 CPU cores",
        "synthetic_small,modern",
        {},
    ),
    "hours": ("20,000 synthetic numbers, 10 epochs with Adam", "synthetic,modern", {}),
    "paper": ("SVHN and the paper's schedule, 222 epochs", "svhn,paper", {}),
}
"""The description of each budget, the words of its config variant, and its settings."""


def get_table() -> PaperTable:
    return PaperTable(
        title="Section 4.2, street numbers: sequence error in per cent",
        source=published.SOURCE,
        rows=tuple(
            Row(name=f"{size}-{network}", column=f"{size} px", network=label, paper=errors[model])
            for size, errors in published.ERRORS.items()
            for network, (model, label) in NETWORKS.items()
        ),
        budgets={name: description for name, (description, _, _) in BUDGETS.items()},
        config=_config,
    )


def _config(row: str, budget: str) -> ConfigDict:
    size, network = row.split("-")
    _, variant, settings = BUDGETS[budget]
    config = make_config(network, f"{size},{variant}")
    config.name = f"{row}-{budget}"
    config.update_from_flattened_dict(settings)
    return config
