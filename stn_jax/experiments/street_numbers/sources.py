"""The sources of street numbers: SVHN's archives, or synthetic numbers."""

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
    aside; `subset` selects the first of the others. Images are [size, size, 3] uint8 and
    memory-mapped; labels are [5], with `NO_DIGIT` after the last digit.

    Raises:
        UserError: a setting is unknown or out of range, or data are not available or cannot be read
            or written.
    """
    check_choice(config.source, SOURCES, "config.data.source")
    check_choice(config.evaluate_on, EVALUATE_ON, "config.data.evaluate_on")
    root = tfds_support.root(config.data_dir)
    if config.source == "synthetic":
        settings = config.synthetic.to_dict()
        name = "synthetic-{layout}-{train}-{test}-{seed}".format(**settings)
        folder = root / "synthetic_street_numbers" / f"{name}-v{synthetic.GENERATOR_VERSION}"
        synthetic.write_synthetic(folder, **settings)
        builder = prepare(str(root), str(folder), folder.name)
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
    if config.evaluate_on == "held_out":
        return learned, _rows(train, last, count)
    return learned, load_crops(cache, builder, ["test"], **kind, shuffled=False)


def _rows(examples: Examples, start: int, stop: int) -> Examples:
    return Examples(examples.images[start:stop], examples.labels[start:stop])
