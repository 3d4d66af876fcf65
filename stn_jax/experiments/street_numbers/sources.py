"""The sources of street numbers: SVHN's archives, or synthetic numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from stn_jax.errors import UserError, check_choice
from stn_jax.experiments.data import tfds_support
from stn_jax.experiments.data.examples import Examples
from stn_jax.experiments.street_numbers import crops
from stn_jax.experiments.street_numbers.composed import compose
from stn_jax.experiments.street_numbers.crops import load_crops
from stn_jax.experiments.street_numbers.drawn import synthetic
from stn_jax.experiments.street_numbers.shapes import picture_shape
from stn_jax.experiments.street_numbers.svhn.prepared import prepare, read_numbers

SOURCES = ("svhn", "synthetic")
EVALUATE_ON = ("test", "held_out")

_STITCHED = "4,827 real house numbers stitched from SVHN's test crops"
_STITCHED_SHA256 = {
    "train": "baf2c14abbc37db23ea69aeead306e2822f4f3badd70ef6b984dce275e269935",
    "test": "84ec5af9563e26b56a232cf81a421d19aea15cae4ef135a36bc64cb7c88f63ce",
}
"""Of the archives of the numbers that are called `_STITCHED`."""


def load_street_numbers(config: ConfigDict) -> tuple[Examples, Examples]:
    """Returns the examples to train on and the examples to evaluate on, by `config.data`.

    The training examples are the splits train and extra, mixed. The last `held_out` of them are set
    aside; `subset` selects the first of the others. After them come `drawn` synthetic numbers, if
    that is above 0. Images are [*picture_shape, 3] uint8 and, without drawn ones among real ones,
    memory-mapped; labels are [5], with `NO_DIGIT` after the last digit.

    Raises:
        UserError: a setting is unknown or out of range, or data are not available or cannot be read
            or written.
    """
    check_choice(config.source, SOURCES, "config.data.source")
    check_choice(config.evaluate_on, EVALUATE_ON, "config.data.evaluate_on")
    root = tfds_support.root(config.data_dir)
    if config.source == "synthetic" and config.drawn:
        raise UserError(
            "config.data.drawn adds drawn numbers to real ones: with config.data.source=synthetic, "
            "set config.data.synthetic.train instead"
        )
    builder = _prepare(config)
    is_official = all(report["official"] for report in _reports(builder).values())
    if config.source == "svhn" and not is_official:
        name = _STITCHED if _is_stitched(builder) else "others of the same format"
        print(f"note: these are not SVHN's official archives, but {name}")
    cache = root / "street_number_crops"
    kind = {
        "shape": picture_shape(config),
        "context": config.context,
        "letterbox": config.letterbox,
    }
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
    if config.composed:
        added = _composed(config, builder, splits, subset=config.subset or last, **kind)
        learned = Examples(*map(np.concatenate, zip(learned, added, strict=True)))
    if config.drawn:
        settings = config.synthetic.to_dict() | {"train": config.drawn, "test": 1}
        added = load_crops(
            cache, _prepare_synthetic(root, **settings), ["train"], **kind, shuffled=False
        )
        learned = Examples(*map(np.concatenate, zip(learned, added, strict=True)))
    if config.evaluate_on == "held_out":
        return learned, _rows(train, last, count)
    return learned, load_crops(cache, builder, ["test"], **kind, shuffled=False)


def describe(config: ConfigDict) -> str:
    """Returns a name for the numbers that `load_street_numbers` returns, without drawn ones."""
    return _STITCHED if _is_stitched(_prepare(config)) else config.source


def _is_stitched(builder: Any) -> bool:
    found = {name: report["archive_sha256"] for name, report in _reports(builder).items()}
    return found == _STITCHED_SHA256


def _reports(builder: Any) -> dict[str, dict[str, Any]]:
    return {split: builder.info.metadata[split] for split in builder.info.splits}


def _prepare(config: ConfigDict) -> Any:
    """Returns the builder of the numbers of `config.source`."""
    root = tfds_support.root(config.data_dir)
    if config.source == "synthetic":
        return _prepare_synthetic(root, **config.synthetic.to_dict())
    return prepare(str(root), config.manual_dir)


def _prepare_synthetic(root: Path, **settings: Any) -> Any:
    """Returns the builder of synthetic numbers, which are drawn first if necessary."""
    name = "synthetic-{layout}-{train}-{test}-{seed}".format(**settings)
    folder = root / "synthetic_street_numbers" / f"{name}-v{synthetic.GENERATOR_VERSION}"
    synthetic.write_synthetic(folder, **settings)
    return prepare(str(root), str(folder), folder.name)


def _composed(
    config: ConfigDict, builder: Any, splits: Sequence[str], *, subset: int, **kind: Any
) -> Examples:
    """Returns examples composed of the first `subset` training examples."""
    numbers = [number for split in splits for number in read_numbers(builder, split)]
    order = np.argsort(crops.places(len(numbers), shuffled=True))
    composed = compose(
        [numbers[i] for i in order[:subset]], config.composed, seed=config.synthetic.seed
    )
    images = np.array([crops.cut_out(number, **kind) for number in composed])
    return Examples(images, np.array([number.digits for number in composed]))


def _rows(examples: Examples, start: int, stop: int) -> Examples:
    return Examples(examples.images[start:stop], examples.labels[start:stop])
