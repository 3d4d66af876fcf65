"""Street numbers that tensorflow-datasets (tfds) keeps on disk: prepared once, then only read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stn_jax.errors import UserError
from stn_jax.experiments.data import prepared_data, tfds_support
from stn_jax.experiments.street_numbers.labels import MAX_DIGITS
from stn_jax.experiments.street_numbers.svhn.format1 import SPLITS, URL, archive_url, archives_in
from stn_jax.experiments.user_paths import expanded

OFFICIAL = "svhn"
REQUIRED_SPLITS = ("train", "test")


class Number(NamedTuple):
    """A picture of a number of up to five digits."""

    png: bytes  # RGB, 8 bits
    digits: np.ndarray  # [5] int32: 0..9, and 10 after the last digit
    length: int  # 1..5
    boxes: np.ndarray  # [length, 4] float32: left, top, right, bottom in pixels, in the picture


def prepare(data_dir: str | None, manual_dir: str | None, name: str = OFFICIAL) -> Any:
    """Returns tfds's builder of the street numbers, and prepares them first if necessary.

    The preparation prints to stderr what was left out or cut, one line for each split; the same
    report is available later as `builder.info.metadata[split]`. `builder.info.splits` has "train",
    "test" and, if there was an archive of it, "extra".

    Args:
        data_dir: tfds's folder, which contains `svhn_full_numbers/`. Empty: tfds's default.
        manual_dir: a folder with train.tar.gz, test.tar.gz and, if there is one, extra.tar.gz.
            Empty: the official archives are downloaded.
        name: distinguishes data sets from different archives; "svhn" is the official one.

    Raises:
        UserError: archives are missing or unusable, there is no network to fetch them, `data_dir`
            cannot be written, or the prepared data are damaged or were made from other archives.
    """
    archives = archives_in(expanded(manual_dir, "config.data.manual_dir") if manual_dir else None)
    root = tfds_support.root(data_dir)
    return prepared_data.prepare(
        KIND,
        root,
        manual_dir,
        archive_sizes={split: path.stat().st_size for split, path in archives.items()},
        check_sources=lambda: _check_sources(root, manual_dir, name, archives),
        config_name=name,
    )


def _builder_class() -> Any:
    from stn_jax.experiments.street_numbers.svhn.svhn_full_numbers import Builder

    return Builder


def read_numbers(builder: Any, split: str) -> Iterator[Number]:
    """Yields the numbers of a split, always in the same order, reading them as they are needed.

    Raises:
        UserError: the prepared data are damaged.
    """
    return prepared_data.read_records(KIND.items, builder, split, _parse)


def _parse(feature: Any) -> Number:
    (png,) = feature["image"].bytes_list.value
    width, height = prepared_data.png_size(png)
    digits = np.array(feature["digits"].int64_list.value, np.int32)
    (length,) = feature["length"].int64_list.value
    edges = np.array(feature["bboxes"].float_list.value, np.float32).reshape(length, 4)
    if digits.shape != (MAX_DIGITS,):
        raise ValueError(f"{len(digits)} digits")
    boxes = edges[:, [1, 0, 3, 2]] * np.array([width, height, width, height], np.float32)
    return Number(png, digits, length, boxes)


def _check_sources(
    root: Path, manual_dir: str | None, name: str, archives: dict[str, Path]
) -> None:
    """Raises UserError unless there are archives to prepare from, or a network to fetch them."""
    if manual_dir:
        tfds_support.manual_folder(manual_dir, [f"{split}.tar.gz" for split in REQUIRED_SPLITS])
        missing = [f"{split}.tar.gz" for split in REQUIRED_SPLITS if split not in archives]
        if missing:
            raise UserError(
                f"--config.data.manual_dir={manual_dir} lacks {', '.join(missing)}: put archives "
                f"of SVHN's format 1 there, such as those of {URL}"
            )
    elif name != OFFICIAL:
        raise UserError(
            f"the street numbers {name} are not in {root}: give the folder of their archives with "
            "--config.data.manual_dir=DIR, or the folder where they are prepared with "
            "--config.data.data_dir=DIR"
        )
    elif not tfds_support.answers(archive_url("train")):
        raise UserError(
            f"SVHN is not in {root} and {URL} cannot be reached: train a small network on drawn "
            "numbers, as with svhn_multi:synthetic_small (--config.data.source=synthetic alone "
            "takes hours on a CPU), or run with --config.data.manual_dir=DIR, where DIR holds "
            "the archives train.tar.gz, test.tar.gz and extra.tar.gz, or on a machine with a "
            "network, or with --config.data.data_dir=DIR, where SVHN is already prepared in DIR"
        )


def _summary(split: str, report: dict[str, Any]) -> str:
    line = prepared_data.summary(split, report, "numbers")
    if report["cut_at_the_edge"]:
        line += f"; with boxes cut at the picture's edge: {report['cut_at_the_edge']}"
    return line


KIND = prepared_data.Kind(
    "street numbers", SPLITS, REQUIRED_SPLITS, builder_class=_builder_class, summary=_summary
)
