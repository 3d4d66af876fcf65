"""A row of the table of section 4.1, trained as `stn-jax reproduce` trains it, but shortened.

It is RTS with the regularised ST deep CNN on the budget `night`, with 5,000 digits that need no
download and fewer epochs. The seconds are those of training alone: neither compilation nor
evaluation is counted.
"""

import tempfile
from pathlib import Path

from benchmarks import networks, report
from benchmarks.settings import Settings
from stn_jax.experiments.reproduce.paper_tables import find_tables
from stn_jax.experiments.training.loop import load, run
from stn_jax.experiments.training.program import make_program

TITLE = "A shortened row of the table"
ROW = "rts-st_deep_cnn_affine-regularised"
_EPOCHS = 16.0


def measure(settings: Settings, earlier: dict) -> list[dict]:
    """Returns one record."""
    del earlier
    config = find_tables()["mnist"].config(ROW, "night")
    config.data.source = "embedded"
    config.num_epochs = config.eval_every_epochs = _EPOCHS
    if settings.short:
        networks.shrink(config)
        config.data.subset = 16
        config.num_epochs = config.eval_every_epochs = 1.0
    setup = load(config)
    program = make_program(config, setup, [config.seed])
    with tempfile.TemporaryDirectory() as folder:
        trained = run(config, setup, program, Path(folder) / ROW)
    if trained is None:
        raise KeyboardInterrupt  # a signal has stopped the run
    steps = setup.num_steps
    record = {
        "row": ROW,
        "epochs": config.num_epochs,
        "steps": steps,
        "steps per second": steps / trained.train_seconds,
        "examples per second": steps * config.batch_size / trained.train_seconds,
        "error, per cent": float(trained.evaluation.error_percent),
    }
    settings.say(f"{ROW}: {record['steps per second']:.0f} steps per second")
    return [record]


def markdown(records: list[dict]) -> str:
    """Returns a table with one row."""
    rows = [
        [value if isinstance(value, str) else f"{value:.3g}" for value in record.values()]
        for record in records
    ]
    return report.table(list(records[0]), rows)
