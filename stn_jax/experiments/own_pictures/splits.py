"""Which pictures a network is tested on, if there is no folder of test pictures."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from stn_jax.errors import UserError
from stn_jax.experiments.own_pictures.listing import shortened
from stn_jax.files import digest


def split_groups(
    groups: Sequence[str], classes: Sequence[str], share: float, seed: int
) -> np.ndarray:
    """Returns which of N pictures are to test on, [N] bool: all those of some groups.

    The choice depends on nothing but the names and the seed. A picture that is added changes the
    side of few others, if any, and a larger share includes a smaller one.

    Args:
        groups: the group of each picture. With a group for each picture, the choice is free.
        classes: the class of each picture. A group counts for the class of most of its pictures.
        share: the share of the groups of each class, rounded, but at least one group; a class keeps
            at least one to learn from.
        seed: gives another choice.

    Raises:
        UserError: no class has two groups.
    """
    members: dict[str, Counter[str]] = defaultdict(Counter)
    for group, name in zip(groups, classes, strict=True):
        members[group][name] += 1
    of_class = defaultdict(list)
    for group, counts in members.items():
        of_class[min(counts, key=lambda name: (-counts[name], name))].append(group)
    chosen: set[str] = set()
    for of_one in of_class.values():
        count = min(max(round(share * len(of_one)), 1), len(of_one) - 1)
        mixed = sorted(of_one, key=lambda g: digest(f"{seed} {g}".encode(errors="surrogateescape")))
        chosen.update(mixed[:count])
    if not chosen:
        raise UserError(
            "no class has pictures of two groups, so none can be set aside to test on: add "
            "pictures, or use --config.data.split=random, with a group for each picture"
        )
    return np.array([group in chosen for group in groups])


def group_of(name: str, pattern: re.Pattern[str]) -> str:
    """Returns what `pattern` finds in a name, or its first group; the name itself if nothing."""
    found = pattern.search(name)
    if found is None:
        return name
    return found[1 if pattern.groups else 0] or name


def listed_names(path: Path, names: Collection[str], folder: str) -> set[str]:
    """Returns the names in a list, a line for each; empty lines and those with # do not count.

    Args:
        path: the list, a text file.
        names: the names that there are, such as "cat/1.png".
        folder: the name of the folder that holds them; a line may start with it.

    Raises:
        UserError: the list cannot be read, or has a name that does not exist.
    """
    try:
        text = path.read_text("utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise UserError(
            f"cannot read --config.data.list={path} ({error.strerror}): name a text file with the "
            "pictures to test on, such as CLASS/1.png, a line for each"
        ) from error
    lines = [line.strip().replace("\\", "/").removeprefix("./") for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    listed = {line if line in names else line.removeprefix(f"{folder}/") for line in lines}
    missing = sorted(listed.difference(names))
    if missing or not listed:
        problem = f"names pictures that do not exist ({shortened(missing)})"
        raise UserError(
            f"--config.data.list={path} {problem if listed else 'names no pictures'}: write a line "
            f"for each picture to test on, such as {next(iter(names))}"
        )
    return listed
