"""Section 4.2, whole street numbers: the paper's three networks at two sizes, and real numbers.

Command: stn-jax reproduce svhn [--budget=BUDGET] [--rows=PATTERN] [--seeds=N]

Rows are named SIZE-NETWORK, or DATA-NETWORK for a few thousand real numbers, alone ("real") or with
drawn ones added ("real_drawn"). Budgets below the paper's use synthetic numbers in the rows by
size, whose errors are not comparable with those on SVHN; the results say so. The rows by data need
--config.data.manual_dir=DIR, or --config.data.data_dir=DIR where they are prepared.
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

REAL = {"real": ("real", "real_small"), "real_drawn": ("real, with drawn", "real_small,drawn")}
"""Column, and words of the config variant, by the data that a row's name starts with."""

ABOUT = """\
The columns "real" and "real, with drawn" are errors on 965 of 4,827 real house numbers stitched
from SVHN's test crops; the other 3,862 are trained on, in the last column together with drawn
numbers and with new ones composed of parts of the 3,862. This split is not SVHN's, so no published
error compares with them.
"""

BUDGETS: dict[str, tuple[str, str, dict]] = {
    "trial": (
        "640 synthetic numbers, or one epoch of real ones, to try the command",
        "synthetic_small,modern",
        {"data.synthetic.train": 640, "data.synthetic.test": 200},
    ),
    "minutes": (
        "20,000 synthetic numbers, narrow networks, 3 epochs, or real numbers, 48 epochs or as "
        "many examples: a few minutes per row on 2 CPU cores",
        "synthetic_small,modern",
        {},
    ),
    "hours": (
        "20,000 synthetic numbers, 10 epochs with Adam, or real numbers for 4 times as long",
        "synthetic,modern",
        {},
    ),
    "paper": ("SVHN and the paper's schedule, 222 epochs", "svhn,paper", {}),
}
"""The description of each budget, and, for rows by size, the words of the variant, and settings."""

REAL_BUDGETS = {
    "trial": ("modern", 0.02),
    "minutes": ("modern", 1.0),
    "hours": ("modern", 4.0),
    "paper": ("paper", 1.0),
}
"""For rows by data, the recipe of each budget and how many times its epochs it trains."""


def get_table() -> PaperTable:
    by_size = [
        Row(name=f"{size}-{network}", column=f"{size} px", network=label, paper=errors[model])
        for size, errors in published.ERRORS.items()
        for network, (model, label) in NETWORKS.items()
    ]
    by_data = [
        Row(name=f"{data}-{network}", column=column, network=label, paper=None)
        for data, (column, _) in REAL.items()
        for network, (_, label) in NETWORKS.items()
    ]
    return PaperTable(
        title="Section 4.2, street numbers: sequence error in per cent",
        source=published.SOURCE,
        rows=(*by_size, *by_data),
        budgets={name: description for name, (description, _, _) in BUDGETS.items()},
        config=_config,
        about=ABOUT,
    )


def _config(row: str, budget: str) -> ConfigDict:
    kind, network = row.split("-")
    if kind in REAL:
        recipe, times = REAL_BUDGETS[budget]
        config = make_config(network, f"{REAL[kind][1]},{recipe}")
        config.num_epochs *= times
    else:
        _, variant, settings = BUDGETS[budget]
        config = make_config(network, f"{kind},{variant}")
        config.update_from_flattened_dict(settings)
    config.name = f"{row}-{budget}"
    return config
