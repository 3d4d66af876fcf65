"""Data sets that tensorflow-datasets (tfds) keeps on disk: prepared once, then only read.

They come from archives. The metadata of a data set hold a report for each split, with what the
archives were, and how many of their pictures were "listed", "kept" and "left_out".
"""

import contextlib
import functools
import hashlib
import itertools
import json
import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from absl import logging

from stn_jax.errors import UserError, printable
from stn_jax.experiments.data import tfds_support

_RECORDS_AT_ONCE = 256

Item = TypeVar("Item")


class Kind(NamedTuple):
    """What distinguishes one kind of data set from the others."""

    items: str  # for messages, such as "street numbers"
    splits: Collection[str]  # that it can have
    required_splits: Collection[str]
    builder_class: Callable[[], Any]  # imports the class, which takes a second
    summary: Callable[[str, dict[str, Any]], str]  # of a split and its report, in one line


def prepare(
    kind: Kind,
    root: Path,
    manual_dir: str | None,
    archive_sizes: Mapping[str, int],
    check_sources: Callable[[], None],
    config_name: str | None = None,
) -> Any:
    """Returns tfds's builder of a data set, and prepares the data first if necessary.

    The preparation prints a summary of each split to stderr.

    Args:
        kind: the kind of data set.
        root: tfds's folder.
        manual_dir: the folder of archives. Empty: the official archives are downloaded.
        archive_sizes: the total size in bytes of the archives in `manual_dir`, by split.
        check_sources: raises UserError unless there are archives, or a network to fetch them.
        config_name: the name of the builder's configuration. None: its default.

    Raises:
        UserError: archives are missing or unusable, `root` cannot be written, or the prepared data
            are damaged or were made from other archives.
    """
    builder = _make_builder(kind, root, config_name)
    folder = Path(builder.data_path).parent
    if not builder.data_path.exists():
        check_sources()
        _prepare(kind, builder, manual_dir)
        builder = _make_builder(kind, root, config_name)
    prepared_from = {
        split: builder.info.metadata[split]["archive_bytes"] for split in builder.info.splits
    }
    if archive_sizes and archive_sizes != prepared_from:
        raise UserError(
            f"the {kind.items} in {folder} were prepared from other archives than those in "
            f"{manual_dir}: delete that folder, or choose another --config.data.data_dir=DIR"
        )
    return builder


def _make_builder(kind: Kind, root: Path, config_name: str | None) -> Any:
    import tensorflow_datasets as tfds  # takes a second to import

    builder_class = kind.builder_class()
    tfds_support.progress_on_a_terminal_only()
    default = next((config.name for config in builder_class.BUILDER_CONFIGS), "")
    config = None
    if config_name not in (None, default):
        config = tfds.core.BuilderConfig(name=config_name)
    folder = root / builder_class.name / (config_name or default)
    tfds_support.remove_incomplete(folder)
    with tfds_support.damage_reported(f"the {kind.items}", folder), _no_warnings():
        data_path = folder / str(builder_class.VERSION)
        if data_path.exists():
            _check_prepared(kind, data_path)
        return builder_class(config=config, data_dir=root, file_format="array_record")


def _check_prepared(kind: Kind, data_path: Path) -> None:
    """Raises what `damage_reported` converts unless the data are described as they should be."""
    lengths = tfds_support.split_lengths(data_path, data_path.name)
    metadata = json.loads((data_path / "metadata.json").read_text())
    kinds = {"archive_bytes": int, "archive_sha256": str, "official": bool, "kept": int}
    for split in {*lengths, *kind.required_splits}:
        report = metadata.get(split) if isinstance(metadata, dict) else None
        if not isinstance(report, dict) or split not in kind.splits:
            raise ValueError(f"no description of the split {split}")
        if any(type(report.get(key)) is not type_ for key, type_ in kinds.items()):
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


def _prepare(kind: Kind, builder: Any, manual_dir: str | None) -> None:
    import tensorflow_datasets as tfds

    def write(scratch: Path) -> None:
        # Downloads stay in tfds's folder, so that they are not fetched twice.
        downloads = Path(builder.data_dir_root, "downloads")
        for leftover in (downloads / builder.name).glob("*.tmp.*"):  # of a process that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        builder.download_and_prepare(
            download_dir=scratch if manual_dir else downloads,
            download_config=tfds.download.DownloadConfig(manual_dir=manual_dir or None),
        )
        for split in builder.info.splits:
            summary = kind.summary(split, builder.info.metadata[split])
            print(printable(summary), file=sys.stderr)

    tfds_support.prepare_once(builder, write, f"the {kind.items}")


def summary(split: str, report: dict[str, Any], items: str) -> str:
    """Returns how many pictures of a split were prepared, and which ones were left out, and why."""
    line = f"{split}: {report['kept']} of {report['listed']} {items} prepared"
    for reason, entry in report["left_out"].items():
        more = ", ..." if entry["count"] > len(entry["names"]) else ""
        line += f"; left out, {reason}: {entry['count']} ({', '.join(entry['names'])}{more})"
    return line


def read_records(
    items: str, builder: Any, split: str, parse: Callable[[Any], Item]
) -> Iterator[Item]:
    """Yields the items of a split, always in the same order, reading them as they are needed.

    Args:
        items: what they are, for messages.
        builder: the builder that `prepare` returns.
        split: the name of the split.
        parse: makes an item of a record's features, by name.

    Raises:
        UserError: the prepared data are damaged.
    """
    from tensorflow_datasets.proto import tf_example_pb2

    damage_reported = functools.partial(
        tfds_support.damage_reported, f"the {items}", builder.data_path.parent
    )
    with damage_reported():
        records = _raw_records(builder, split)
    while True:
        with damage_reported():
            parsed = [
                parse(tf_example_pb2.Example.FromString(record).features.feature)
                for record in itertools.islice(records, _RECORDS_AT_ONCE)
            ]
        if not parsed:
            return
        yield from parsed


def _raw_records(builder: Any, split: str) -> Iterator[bytes]:
    import tensorflow_datasets as tfds

    if builder.info.file_format is tfds.core.FileFormat.TFRECORD:
        files = builder.info.splits[split].filepaths
        return itertools.chain.from_iterable(_tfrecords(Path(file)) for file in files)
    raw_bytes = tfds.decode.DeserializeMethod.RAW_BYTES
    source = builder.as_data_source(split, deserialize_method=raw_bytes)
    starts = range(0, len(source), _RECORDS_AT_ONCE)
    parts = (range(start, start + _RECORDS_AT_ONCE)[: len(source) - start] for start in starts)
    return itertools.chain.from_iterable(map(source.__getitems__, parts))


def _tfrecords(path: Path) -> Iterator[bytes]:
    """Yields the records of a TFRecord file: each has a length and a checksum before and behind."""
    remaining = path.stat().st_size
    with path.open("rb") as file:
        while remaining:
            length = int.from_bytes(file.read(12)[:8], "little")
            remaining -= 12 + length + 4
            if remaining < 0:
                raise ValueError(f"{path} is cut short")
            yield file.read(length)
            file.read(4)


def png_size(png: bytes) -> tuple[int, int]:
    """Returns the width and height in a PNG's header; raises ValueError if it is cut off."""
    width, height = np.frombuffer(png, ">u4", count=2, offset=16).tolist()
    return width, height


def archives_digest(builder: Any, splits: Sequence[str]) -> str:
    """Returns 12 characters that identify the archives from which some splits were prepared."""
    digests = [builder.info.metadata[split]["archive_sha256"] for split in splits]
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:12]
