"""Divides the pictures of an archive into shards, which tensorflow-datasets (tfds) writes."""

import functools
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from tqdm import tqdm

from stn_jax.errors import UserError
from stn_jax.experiments.data.unusable import UnusableError, leave_out

_SHARD_BYTES = 64 << 20

KeyedExamples = Iterator[tuple[int, dict[str, Any]]]


class Named(Protocol):
    """A picture of an archive."""

    @property
    def name(self) -> str: ...


Picture = TypeVar("Picture", bound=Named)


def picture_shards(
    pictures: Iterable[Picture],
    total: int,
    to_example: Callable[[Picture], dict[str, Any]],
    report: dict[str, Any],
    path: Path,
    *,
    split: str,
    intended: Collection[str] = (),
) -> list[Callable[[], KeyedExamples]]:
    """Returns functions that take the pictures one after another, each its share.

    Several shards save memory, because tfds keeps a shard in memory until it is complete.

    Args:
        pictures: the pictures, in the order of the examples.
        total: how many there are.
        to_example: converts a picture to what tfds's features expect, or raises UnusableError.
        report: the report of the split, where pictures that are kept or left out are counted.
        path: the archive, for messages.
        split: the name of the split, for the progress bar.
        intended: see `leave_out`.
    """

    def examples(share: Iterator[Picture]) -> KeyedExamples:
        for picture in share:
            try:
                example = to_example(picture)
            except UnusableError as error:
                leave_out(report, str(error), picture.name, path, intended=intended)
                continue
            report["kept"] += 1
            yield report["kept"], example
        if not report["kept"]:
            raise UserError(f"{path} has no picture that can be used: fetch another one")

    shown = iter(
        tqdm(
            pictures,
            f"preparing {split}",
            total,
            unit=" pictures",
            disable=None,  # shown on a terminal only
        )
    )
    count = max(1, min(report["archive_bytes"] // _SHARD_BYTES, total))
    sizes = np.diff([total * i // count for i in range(count + 1)])
    shares = [*(itertools.islice(shown, size) for size in sizes[:-1]), shown]
    return [functools.partial(examples, share) for share in shares]
