"""What a split of the user's pictures is, wherever they are."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

_NAMES_SHOWN = 5


class Item(NamedTuple):
    """A picture that has not been read yet."""

    name: str  # for messages
    label: int  # the place of its class
    read: Callable[[], bytes]  # returns the content of its file, or raises UnusableError


class Split(NamedTuple):
    """The pictures to train on, or those to test on."""

    where: str  # for messages
    num_pictures: int
    items: Callable[[], Iterator[Item]]  # gives them in the order of the examples
    identity: str  # changes when any picture may have changed


class Listing(NamedTuple):
    """All pictures."""

    title: str  # of the data set
    class_names: Sequence[str]
    train: Split
    test: Split
    identity: str  # changes when the pictures are others, but not when they are copied
    notes: Sequence[str] = ()  # what the user should know, a line each


def shortened(names: Sequence[str]) -> str:
    """Returns some of the names in one line, and how many more there are."""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more
