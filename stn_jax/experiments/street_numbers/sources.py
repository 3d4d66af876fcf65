"""The sources of street numbers: SVHN's archives, or synthetic numbers."""

from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from stn_jax.errors import UserError, check_choice
from stn_jax.experiments.data import tfds_support
from stn_jax.experiments.data.examples import Examples
from stn_jax.experiments.street_numbers.crops import load_crops
from stn_jax.experiments.street_numbers.drawn import synthetic
from stn_jax.experiments.street_numbers.svhn.prepared import prepare

SOURCES = ("svhn", "synthetic")
EVALUATE_ON = ("test", "held_out")


def load_street_numbers(config: ConfigDict) -> tuple[Examples, Examples]:
    """Returns the examples to train on and the examples to evaluate on, by `config.data`.

    The training examples are the splits train and extra, mixed. The last `held_out` of them are set
    aside; `subset` selects the first of the others. After them come `drawn` synthetic numbers, if
    that is above 0. Images are [size, size, 3] uint8 and, without drawn ones among real ones,
    memory-mapped; labels are [5], with `NO_DIGIT` after the last digit.

    Raises:
        UserError: a setting is unknown or out of range, or data are not available or cannot be read
            or written.
    """
    check_choice(config.source, SOURCES, "config.data.source")
    check_choice(config.evaluate_on, EVALUATE_ON, "config.data.evaluate_on")
    root = tfds_support.root(config.data_dir)
    if config.source == "synthetic":
        if config.drawn:
            raise UserError(
                "config.data.drawn adds drawn numbers to real ones: with config.data.source="
                "synthetic, set config.data.synthetic.train instead"
            )
        builder = _prepare_synthetic(root, **config.synthetic.to_dict())
    else:
        builder = prepare(str(root), config.manual_dir)
        if not all(builder.info.metadata[split]["official"] for split in builder.info.splits):
            print("note: these are not SVHN's official archives, but others of the same format")
    cache = root / "street_number_crops"
    kind = {"size": config.size, "context": config.context}
    splits = [split for split in ("train", "extra") if split in builder.info.splits]
    count = sum(builder.info.splits[split].num_examples for split in splits)
    last = count - config.held_out
    if config.held_out < 0 or last < 1:
        raise UserError(
            f"config.data.held_out must be in 0..{count - 1}, got {config.held_out}: there are "
            f"{count} training examples; use --config.data.held_out=0 to set none aside"
        )
    if not 0 <= config.subset <= last:
        raise UserError(f"config.data.subset must be in 0..{last}, got {config.subset}")
    if config.evaluate_on == "held_out" and config.held_out == 0:
        raise UserError("config.data.evaluate_on=held_out needs a config.data.held_out above 0")
    train = load_crops(cache, builder, splits, **kind, shuffled=True)
    learned = _rows(train, 0, config.subset or last)
    if config.drawn:
        drawn = config.synthetic.to_dict() | {"train": config.drawn, "test": 1}
        builder_of_drawn = _prepare_synthetic(root, **drawn)
        added = load_crops(cache, builder_of_drawn, ["train"], **kind, shuffled=False)
        learned = Examples(*map(np.concatenate, zip(learned, added, strict=True)))
    if config.evaluate_on == "held_out":
        return learned, _rows(train, last, count)
    return learned, load_crops(cache, builder, ["test"], **kind, shuffled=False)


def _prepare_synthetic(root: Path, **settings: Any) -> Any:
    """Returns the builder of synthetic numbers, which are drawn first if necessary."""
    name = "synthetic-{layout}-{train}-{test}-{seed}".format(**settings)
    folder = root / "synthetic_street_numbers" / f"{name}-v{synthetic.GENERATOR_VERSION}"
    synthetic.write_synthetic(folder, **settings)
    return prepare(str(root), str(folder), folder.name)


def _rows(examples: Examples, start: int, stop: int) -> Examples:
    return Examples(examples.images[start:stop], examples.labels[start:stop])
