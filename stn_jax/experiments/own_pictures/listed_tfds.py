"""Lists the pictures of a data set that tensorflow-datasets (tfds) has prepared."""

import functools
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from stn_jax.errors import UserError, shown
from stn_jax.experiments.data import tfds_support
from stn_jax.experiments.data.prepared_data import read_records
from stn_jax.experiments.own_pictures.listing import Item, Listing, Split
from stn_jax.experiments.own_pictures.splits import split_groups
from stn_jax.files import digest

_NAME = re.compile(r"([a-z][a-z0-9_]*)(?:/([^/:]+))?(?::([0-9.]+))?")
_TEST_SPLITS = ("test", "validation")


def list_tfds(config: ConfigDict) -> Listing:
    """Returns the pictures of the data set `config.tfds`, which needs no TensorFlow.

    They stay in tfds's order, which is mixed. The test pictures are those of the split test, or
    else validation, or, with `config.split="random"`, a part of train.

    Raises:
        UserError: the data set is not prepared, has no pictures with one class each, or cannot be
            divided like this.
    """
    folder = _prepared_folder(config)
    with tfds_support.damage_reported(f"the data set {config.tfds}", folder):
        import tensorflow_datasets as tfds

        builder = tfds.builder_from_directory(folder)
        splits = builder.info.splits
        image, label = _image_and_label(builder, config.tfds)
        class_names = tuple(builder.info.features[label].names)
    if tuple(config.classes) not in ((), class_names):
        raise UserError(
            f"config.data.classes must be those of {config.tfds}, in their order, or () for that"
        )
    if len(class_names) < 2:
        raise UserError(f"{config.tfds} has fewer than two classes: choose another data set")
    if config.split not in ("folders", "random"):
        raise UserError(
            f"config.data.split={config.split} is for --config.data.dir: with config.data.tfds, "
            "use folders for the splits of the data set, or random"
        )
    known = f"{builder.info.full_name} {[(s, i.num_examples) for s, i in splits.items()]}"
    make = functools.partial(_split, builder, image, label, digest(_stamps(folder).encode()))
    if config.split == "random":
        names = list(map(str, range(_count(splits, "train", config.tfds))))
        is_test = split_groups(names, [""] * len(names), config.test_share, config.split_seed)
        train, test = make("train", ~is_test), make("train", is_test)
    else:
        test_name = next((name for name in _TEST_SPLITS if name in splits), _TEST_SPLITS[0])
        every = {
            name: np.ones(_count(splits, name, config.tfds), bool) for name in ("train", test_name)
        }
        train, test = (make(name, rows) for name, rows in every.items())
    if config.subset:
        train = _first(train, config.subset)
    return Listing(config.tfds, class_names, train, test, identity=digest(known.encode()))


def _prepared_folder(config: ConfigDict) -> Path:
    """Returns the folder of the data set's version."""
    matched = _NAME.fullmatch(config.tfds)
    if not matched:
        raise UserError(
            f"config.data.tfds={shown(config.tfds)} is no name of a data set: use one like cifar10 "
            "or NAME/CONFIG:VERSION"
        )
    name, variant, version = matched.groups()
    root = tfds_support.root(config.data_dir)
    found = sorted(path.parent for path in (root / name).rglob("dataset_info.json"))
    fitting = [
        path
        for path in found
        if version in (None, path.name)
        and (variant is None or path.parent == root / name / variant)
    ]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UserError(
            f"{root / name} has several data sets ({', '.join(_title(p, root) for p in fitting)}): "
            "name one of them with config.data.tfds"
        )
    there = f", but there are {', '.join(_title(path, root) for path in found)}" if found else ""
    raise UserError(
        f"{config.tfds} is not prepared in {root}{there}: prepare it there with `tfds build {name} "
        f"--data_dir={root}` (which may need TensorFlow), or name its folder with "
        "--config.data.data_dir=DIR"
    )


def _title(path: Path, root: Path) -> str:
    return f"{path.parent.relative_to(root).as_posix()}:{path.name}"


def _image_and_label(builder: Any, name: str) -> tuple[str, str]:
    """Returns the names of the features that hold the picture and its class."""
    import tensorflow_datasets as tfds

    features = dict(builder.info.features)
    kinds = (tfds.features.Image, tfds.features.ClassLabel)
    preferred = builder.info.supervised_keys or ()
    chosen = []
    for kind in kinds:
        keys = [key for key, feature in features.items() if type(feature) is kind]
        keys.sort(key=lambda key: key not in preferred)
        if not keys:
            raise UserError(
                f"the data set {name} has no picture with one class each (its features are "
                f"{', '.join(features)}): choose another one"
            )
        chosen.append(keys[0])
    return chosen[0], chosen[1]


def _count(splits: Any, name: str, title: str) -> int:
    if name not in splits:
        raise UserError(
            f"{title} has no split {name} (it has {', '.join(splits)}): choose another data set, "
            "or take test pictures from train with --config.data.split=random"
        )
    return splits[name].num_examples


def _stamps(folder: Path) -> str:
    """Returns a text that changes when the files of the data set do."""
    status = {path.name: path.stat() for path in sorted(folder.iterdir())}
    return str([(name, each.st_size, each.st_mtime_ns) for name, each in status.items()])


def _split(builder: Any, image: str, label: str, stamps: str, name: str, rows: np.ndarray) -> Split:
    def parse(feature: Any) -> tuple[bytes, int]:
        (content,), (number,) = feature[image].bytes_list.value, feature[label].int64_list.value
        return content, number

    def items() -> Iterator[Item]:
        records = itertools.compress(read_records("pictures", builder, name, parse), rows)
        for number, (content, its_label) in enumerate(records):
            yield Item(f"{name}[{number}]", its_label, _giving(content))

    identity = digest(f"{stamps} {builder.data_path} {name} {rows.tobytes().hex()}".encode())
    return Split(str(builder.data_path), int(rows.sum()), items, identity)


def _giving(content: bytes) -> Callable[[], bytes]:
    return lambda: content


def _first(split: Split, count: int) -> Split:
    return split._replace(
        num_pictures=min(count, split.num_pictures),
        items=lambda: itertools.islice(split.items(), count),
        identity=f"{split.identity}-{count}",
    )
