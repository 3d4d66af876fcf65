"""How long rows will take, judged by the records of the same rows on other budgets."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from stn_jax.experiments.reproduce.row_records import read_record

_RECORDS = Path(__file__).parents[3] / "results"  # in a checkout


def seconds_of_rows(
    out: Path, table: str, budgets: Iterable[str], configs: Mapping[str, ConfigDict]
) -> dict[str, float]:
    """Returns the seconds that each row takes per seed, or {} if there are no records of any.

    Rows without a record are expected to take as long as the mean of the others.

    Args:
        out: the folder of the records; those that come with the code are used too.
        table: the table's name.
        budgets: the table's budgets.
        configs: the configs of the rows, by name.
    """
    names = list(budgets)
    known = {}
    for row, config in configs.items():
        paths = [root / table / name / f"{row}.json" for root in (out, _RECORDS) for name in names]
        records = [record for path in paths if (record := read_record(path)) is not None]
        of_same_data = [
            r for r in records if r["config"].get("data.source") == config.data.get("source")
        ]
        if of_same_data:
            known[row] = float(np.median([_seconds(record, config) for record in of_same_data]))
    return dict.fromkeys(configs, float(np.mean(list(known.values())))) | known if known else {}


def _seconds(record: dict, config: ConfigDict) -> float:
    each = [run["train_seconds"] / run["seeds_together"] for run in record["runs"]]
    return float(np.mean(each)) * config.num_epochs / record["config"]["num_epochs"]
