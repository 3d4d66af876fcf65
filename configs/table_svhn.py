"""Section 4.2, whole street numbers: the paper's three networks at two sizes.

Command: python -m stn_jax.reproduce svhn [--budget=BUDGET] [--rows=PATTERN] [--seeds=N]

A row is called SIZE-NETWORK. Budgets below the paper's read numbers that are drawn here, whose
errors do not compare with SVHN's: the results say so.
"""

from ml_collections import ConfigDict

from configs.street_numbers import make_config
from stn_jax.reproduce.tables import Row, Table

NETWORKS = {"cnn": "CNN", "single": "ST-CNN Single", "multi": "ST-CNN Multi"}

PAPER = {"64": (4.0, 3.7, 3.6), "128": (5.6, 3.9, 3.9)}
"""Sequence error in per cent, by size in pixels, in the order of `NETWORKS`."""

BUDGETS: dict[str, tuple[str, str, dict]] = {
    "trial": (
        "640 drawn numbers, to see the command at work",
        "synthetic_small,modern",
        {"data.synthetic.train": 640, "data.synthetic.test": 200},
    ),
    "minutes": (
        "20,000 drawn numbers, narrow networks, 2 epochs: some minutes a row on 2 CPU cores",
        "synthetic_small,modern",
        {},
    ),
    "hours": ("20,000 drawn numbers, 10 epochs by Adam", "synthetic,modern", {}),
    "paper": ("SVHN and the paper's schedule, 222 epochs", "svhn,paper", {}),
}
"""What it is, words of the config's variant, and settings."""


def get_table() -> Table:
    return Table(
        title="Section 4.2, street numbers: numbers not wholly right in per cent",
        source="svhn",
        rows=tuple(
            Row(name=f"{size}-{network}", column=f"{size} px", network=label, paper=error)
            for size, errors in PAPER.items()
            for (network, label), error in zip(NETWORKS.items(), errors, strict=True)
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
