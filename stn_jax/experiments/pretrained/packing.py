"""Packs a run as a pretrained network: weights, config and model card."""

from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from stn_jax.errors import UserError
from stn_jax.experiments.pretrained import FOLDER
from stn_jax.experiments.pretrained.cards import recipe, table, with_facts
from stn_jax.experiments.pretrained.folders import network_files, write_files
from stn_jax.experiments.training.checkpoints import restore
from stn_jax.experiments.training.evaluation import Evaluation, make_evaluate
from stn_jax.experiments.training.parallel import replicate
from stn_jax.experiments.training.setup import Setup, make_setup
from stn_jax.experiments.workdir.result import read_result
from stn_jax.experiments.workdir.run_config import read_config


def pack(workdir: Path, name: str, *, command: str, commit: str) -> Path:
    """Packs the newest checkpoint of a finished run into the package, as `name`.

    Parameters are rounded to float16. The running statistics of batch normalisation stay float32,
    because they are few and cover a wide range. The test error on the card is that of the packed
    weights.

    Args:
        workdir: the run's folder; its data are read again to measure the error.
        name: the network's name: letters, digits and underscores.
        command: the command that trained it, for the card.
        commit: the commit of the code that trained it, for the card.

    Returns:
        The network's folder.

    Raises:
        UserError: the name is not valid, or the run is not finished, of a task whose networks do
            not come with the package, or cannot be read.
    """
    if not name.isidentifier():
        raise UserError(f"NAME must consist of letters, digits and underscores, got {name!r}")
    config = read_config(workdir)
    if config.task not in _OUTPUTS:
        raise UserError(
            f"networks of the task {config.task} do not come with the package: "
            "`stn-jax export --format=folder` writes what load_pretrained reads"
        )
    result = read_result(workdir)
    if not result:
        raise UserError(f"the run in {workdir} is not finished (no result.json): resume it first")
    _, state = restore(workdir, config)
    setup = make_setup(config)
    evaluate = make_evaluate(setup, config.eval_batch_size)
    rounded = jax.tree.map(lambda x: np.asarray(x, np.float16).astype(np.float32), state.params)
    packed = state.replace(params=rounded)
    before, after = (evaluate(replicate(weights)) for weights in (state, packed))
    card = _card(name, config, setup, result, before, after, command, commit)
    variables = {"params": packed.params, "batch_stats": packed.batch_stats}
    write_files(FOLDER / name, network_files(config, variables, card))
    return FOLDER / name


_MNIST = """\
## Limits

The network reads one handwritten digit, bright on black, that is distorted as in training
(`stn_jax/experiments/distorted_mnist/distortions.py` describes the distortions). It answers every
image with one of the ten digits, and its probabilities are not calibrated. There was no validation
set: the recipe was chosen by the test error of one seed. The network is meant for demonstrations
and as a starting point for other work.

## Licence

Weights and card: Apache-2.0, like the package. The digits of MNIST (Y. LeCun, C. Cortes,
C. Burges) are not part of them."""

_NUMBERS = """\
## Limits

{origin}
Long numbers are rare in training and are misread more often than short ones. The network gives
an answer for every image, and its probabilities are not calibrated.

## Licence

Weights and card: Apache-2.0, like the package. {rights}"""

_SIGNS = """\
## Limits

The network recognises 43 kinds of German traffic signs in photographs. One sign should fill most
of the picture, as in training, with a margin of about a tenth. The network answers every picture
with one of the 43 kinds, also if it shows another sign or none, and its probabilities are not
calibrated. It is not meant for use in traffic.

## Licence

Weights and card: Apache-2.0, like the package. The photographs of GTSRB (J. Stallkamp,
M. Schlipsing, J. Salmen, C. Igel) are not part of them."""

_LIMITS_AND_LICENCE = {
    "tfds": _MNIST,
    "embedded": _MNIST,
    "synthetic": _NUMBERS.format(
        origin="The network was trained and tested on drawn numbers only, not on photographs.",
        rights="The pictures were drawn by the package itself.",
    ),
    "svhn": _NUMBERS.format(
        origin="The network was trained on photographs of house numbers, cropped to the number.",
        rights="The pictures of SVHN (Y. Netzer and others) are for non-commercial use only.",
    ),
    "traffic_signs": _SIGNS,
}
"""Texts by the source of the examples, `config.data.source`, or by the task if it has only one."""

_OUTPUTS = {
    "distorted_mnist": "[B, 10], one per digit",
    "street_numbers": "[B, 5, 11]: for each of five places, the ten digits and 'no digit'",
    "traffic_signs": "[B, 43], one per kind of sign (`stn_jax.experiments.traffic_signs.classes`)",
}

_RANGES = {
    "distorted_mnist": "0..1, bright on black",
    "street_numbers": "0..1 minus its mean",
    "traffic_signs": "0..1, then normalised as `data.contrast` says",
}


def _card(
    name: str,
    config: ConfigDict,
    setup: Setup,
    result: dict,
    before: Evaluation,
    after: Evaluation,
    command: str,
    commit: str,
) -> str:
    height, width, channels = setup.input_shape
    rows = {
        "network": f"{result['model']}, {result['num_params']:,} parameters",
        "images": f"[B, {height}, {width}, {channels}] float32, {_RANGES[config.task]}",
        "logits": _OUTPUTS[config.task],
        "data": result["dataset"],
        "recipe": recipe(config, result),
        "command": f"`{command}`",
        "commit": f"`{commit}`, JAX {result['versions']['jax']}, Flax {result['versions']['flax']}",
        "test error": f"**{after.error_percent:.2f}%** with these weights, in float16; "
        f"{before.error_percent:.2f}% before rounding",
        **{
            key.replace("_percent", "").replace("_", " "): f"{value:.2f}%"
            for key, value in after.details.items()
        },
    }
    card = f"""\
# {name}

`stn_jax.load_pretrained("{name}")` loads this network.
`python -m stn_jax.experiments.pretrained` measured the errors and wrote this card.

{table(rows)}

{_LIMITS_AND_LICENCE[config.data.get("source", config.task)]}
"""
    return with_facts(card, licence="apache-2.0")
