"""Street numbers that tensorflow-datasets (tfds) keeps on disk: prepared once, then only read."""

import contextlib
import io
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from stn_jax.errors import UserError, printable
from stn_jax.experiments.data import tfds_support
from stn_jax.experiments.street_numbers.labels import MAX_DIGITS
from stn_jax.experiments.street_numbers.svhn.format1 import SPLITS, URL, archive_url, archives_in
from stn_jax.experiments.user_paths import expanded

OFFICIAL = "svhn"
REQUIRED_SPLITS = ("train", "test")
_RECORDS_AT_ONCE = 256
_WHAT = "the street numbers"


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
    builder = _make_builder(root, name)
    folder = Path(builder.data_path).parent
    if not builder.data_path.exists():
        _check_sources(root, manual_dir, name, archives)
        _prepare(builder, manual_dir)
        builder = _make_builder(root, name)
    prepared_from = {
        split: builder.info.metadata[split]["archive_bytes"] for split in builder.info.splits
    }
    sizes = {split: path.stat().st_size for split, path in archives.items()}
    if archives and sizes != prepared_from:
        raise UserError(
            f"the street numbers in {folder} were prepared from other archives than those in "
            f"{manual_dir}: delete that folder, or choose another --config.data.data_dir=DIR"
        )
    return builder


def _make_builder(root: Path, name: str) -> Any:
    import tensorflow_datasets as tfds  # takes a second to import

    from stn_jax.experiments.street_numbers.svhn.svhn_full_numbers import Builder

    tfds_support.progress_on_a_terminal_only()
    config = None if name == OFFICIAL else tfds.core.BuilderConfig(name=name)
    folder = root / Builder.name / name
    tfds_support.remove_incomplete(folder)
    with tfds_support.damage_reported(_WHAT, folder), _no_warnings():
        data_path = folder / str(Builder.VERSION)
        if data_path.exists():
            _check_prepared(data_path, str(Builder.VERSION))
        return Builder(config=config, data_dir=root, file_format="array_record")


def _check_prepared(data_path: Path, version: str) -> None:
    """Raises what `damage_reported` converts unless the data are described as they should be."""
    lengths = tfds_support.split_lengths(data_path, version)
    metadata = json.loads((data_path / "metadata.json").read_text())
    kinds = {"archive_bytes": int, "archive_sha256": str, "official": bool, "kept": int}
    for split in {*lengths, *REQUIRED_SPLITS}:
        report = metadata.get(split) if isinstance(metadata, dict) else None
        if not isinstance(report, dict) or split not in SPLITS:
            raise ValueError(f"no description of the split {split}")
        if any(type(report.get(key)) is not kind for key, kind in kinds.items()):
            raise ValueError(f"an incomplete description of the split {split}")
        if report["kept"] != lengths.get(split):
            raise ValueError(f"{lengths.get(split)} examples of {split}, not {report['kept']}")


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Silences tfds, which warns of every configuration that its builder does not list.

    Such configurations are intended here.
    """
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def read_numbers(builder: Any, split: str) -> Iterator[Number]:
    """Yields the numbers of a split, always in the same order, reading them as they are needed.

    Raises:
        UserError: the prepared data are damaged.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.proto import tf_example_pb2

    raw_bytes = tfds.decode.DeserializeMethod.RAW_BYTES
    with tfds_support.damage_reported(_WHAT, builder.data_path.parent):
        source = builder.as_data_source(split, deserialize_method=raw_bytes)
    for start in range(0, len(source), _RECORDS_AT_ONCE):
        stop = min(start + _RECORDS_AT_ONCE, len(source))
        with tfds_support.damage_reported(_WHAT, builder.data_path.parent):
            numbers = [
                _parse(tf_example_pb2.Example.FromString(record).features.feature)
                for record in source.__getitems__(range(start, stop))
            ]
        yield from numbers


def _parse(feature: Any) -> Number:
    (png,) = feature["image"].bytes_list.value
    width, height = np.frombuffer(png, ">u4", count=2, offset=16).tolist()  # of the PNG's header
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
            f"SVHN is not in {root} and {URL} cannot be reached: run with "
            "--config.data.source=synthetic, or with --config.data.manual_dir=DIR, where DIR holds "
            "the archives train.tar.gz, test.tar.gz and extra.tar.gz, or on a machine with a "
            "network, or with --config.data.data_dir=DIR, where SVHN is already prepared in DIR"
        )


def _prepare(builder: Any, manual_dir: str | None) -> None:
    import tensorflow_datasets as tfds

    def write(scratch: Path) -> None:
        print(f"preparing street numbers in {scratch.parent}", flush=True)
        # Downloads stay in tfds's folder, so that they are not fetched twice.
        downloads = Path(builder.data_dir_root, "downloads")
        for leftover in (downloads / builder.name).glob("*.tmp.*"):  # of a process that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        quiet: contextlib.AbstractContextManager = contextlib.nullcontext()
        if manual_dir:  # tfds would print that it downloads them
            quiet = contextlib.redirect_stdout(io.StringIO())
        with quiet:
            builder.download_and_prepare(
                download_dir=scratch if manual_dir else downloads,
                download_config=tfds.download.DownloadConfig(manual_dir=manual_dir or None),
            )
        for split in builder.info.splits:
            print(printable(_summary(split, builder.info.metadata[split])), file=sys.stderr)

    tfds_support.prepare_once(builder, write, _WHAT)


def _summary(split: str, report: dict[str, Any]) -> str:
    line = f"{split}: {report['kept']} of {report['listed']} numbers prepared"
    for reason, entry in report["left_out"].items():
        more = ", ..." if entry["count"] > len(entry["names"]) else ""
        line += f"; left out, {reason}: {entry['count']} ({', '.join(entry['names'])}{more})"
    if report["cut_at_the_edge"]:
        line += f"; with boxes cut at the picture's edge: {report['cut_at_the_edge']}"
    return line
