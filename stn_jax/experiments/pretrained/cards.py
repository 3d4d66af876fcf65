"""Model cards, as model hubs show them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.trained_networks import Network
from stn_jax.experiments.workdir.result import read_result

_FACTS = """\
---
{licence}library_name: stn_jax
pipeline_tag: image-classification
tags: [jax, flax, spatial-transformer]
---

"""

_MOST_CLASSES = 50


def with_facts(card: str, licence: str | None = None) -> str:
    """Returns a card with the facts that model hubs read, at its beginning."""
    return _FACTS.format(licence=f"license: {licence}\n" if licence else "") + card


def table(rows: Mapping[str, object]) -> str:
    """Returns facts as a table in Markdown."""
    lines = (f"| {key} | {str(value).replace('|', chr(92) + '|')} |" for key, value in rows.items())
    return "\n".join(["| | |", "|---|---|", *lines])


def recipe(config: ConfigDict, result: Mapping[str, Any]) -> str:
    """Returns how the run with this `result.json` was trained, in words."""
    optimizer = config.optimizer
    return (
        f"{optimizer.name}, {optimizer.schedule}, learning rate {optimizer.learning_rate:g}, "
        f"batches of {config.batch_size}, {result['epochs']:g} epochs ({result['steps']} steps, "
        f"{result['train_seconds'] / 60:.0f} minutes on {result['device']}), seed {config.seed}; "
        "all settings: [`config.json`](config.json)"
    )


def run_card(network: Network, workdir: Path) -> str:
    """Returns the card of the run in `workdir`, whose network this is."""
    config, result = network.config, read_result(workdir)
    task = find_task(config)
    classes = network.labels.class_names
    names = ", ".join(classes[:_MOST_CLASSES])
    rows: dict[str, object] = {
        "network": f"{task.model_name(config)}, {network.state.num_params:,} parameters",
        "pictures": f"{' x '.join(map(str, network.input_shape))}: {task.PICTURE}",
        "classes": f"{names}, ..." if len(classes) > _MOST_CLASSES else names,
    }
    if result:
        rows |= {
            "data": result["dataset"],
            "recipe": recipe(config, result),
            "versions": f"JAX {result['versions']['jax']}, Flax {result['versions']['flax']}",
            "test error": f"{result['test_error_percent']:.2f}%",
        }
    else:
        rows["test error"] = "unknown: training had not ended"
    return with_facts(
        f"""\
# {config.name}

`stn_jax.load_pretrained("path/of/this/folder")` loads this network.

{table(rows)}

## Limits

The network answers every picture with one of its classes, also one that shows something else, and
its probabilities are not calibrated.

## Licence

Not stated yet: the author of the network decides.
"""
    )
