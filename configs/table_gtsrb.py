"""Traffic signs (GTSRB), which are not in the paper: networks with and without transformers.

Command: stn-jax reproduce gtsrb [--budget=BUDGET] [--rows=PATTERN] [--seeds=N]

Rows are named after their network: cnn, single and multi. Those that end in -plain are trained
without random changes of the photographs. All rows are also measured on test photographs that are
turned, scaled and shifted.
"""

from ml_collections import ConfigDict

from stn_jax.experiments.reproduce.paper_tables import PaperTable, Row
from stn_jax.experiments.traffic_signs import published
from stn_jax.experiments.traffic_signs.config import make_config

NETWORKS = {"cnn": "CNN", "single": "ST-CNN Single", "multi": "ST-CNN Multi"}
PLAIN = "-plain"
COLUMNS = {"": "GTSRB", PLAIN: "GTSRB, without augmentation"}
"""By the ending of a row's name."""

BUDGETS: dict[str, tuple[str, str, dict]] = {
    "trial": (
        "1,280 photographs, 2 epochs, to try the command",
        "quick",
        {"data.subset": 1280, "num_epochs": 2.0, "eval_every_epochs": 1.0},
    ),
    "minutes": ("4 epochs: a few minutes per row on 2 CPU cores", "quick", {}),
    "hours": ("16 epochs: a quarter of an hour per row and seed on one CPU core", "modern", {}),
}
"""The description of each budget, the recipe of its config, and its settings."""

ABOUT = f"""\
The paper has no such experiment. Errors that others report on the same test set, in per cent:
{"; ".join(f"{method}: {error}" for method, error in published.ERRORS.items())}. Italics name the
budget.
"""


def get_table() -> PaperTable:
    return PaperTable(
        title="Traffic signs (GTSRB): test error in per cent",
        source=None,
        rows=tuple(
            Row(name=network + ending, column=column, network=label, paper=None, robustness=True)
            for ending, column in COLUMNS.items()
            for network, label in NETWORKS.items()
        ),
        budgets={name: description for name, (description, _, _) in BUDGETS.items()},
        config=_config,
        about=ABOUT,
    )


def _config(row: str, budget: str) -> ConfigDict:
    _, recipe, settings = BUDGETS[budget]
    config = make_config(row.removesuffix(PLAIN), recipe)
    if row.endswith(PLAIN):
        config.data.augment.update(dict.fromkeys(config.data.augment, 0.0))
    config.name = f"{row}-{budget}"
    config.update_from_flattened_dict(settings)
    return config
