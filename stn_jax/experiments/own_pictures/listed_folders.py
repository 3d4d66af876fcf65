"""Lists the pictures of `config.data.dir`, and decides which are to train on."""

import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from stn_jax.errors import UserError, printable
from stn_jax.experiments.data.image_cache import mixed_places
from stn_jax.experiments.data.picture_files import content_of
from stn_jax.experiments.data.unusable import UnusableError
from stn_jax.experiments.own_pictures.folders import (
    LINK_TO_NOWHERE,
    Folder,
    PictureFile,
    read_folder,
    subfolders,
)
from stn_jax.experiments.own_pictures.listing import Item, Listing, Split, shortened
from stn_jax.experiments.own_pictures.splits import group_of, listed_names, split_groups
from stn_jax.experiments.user_paths import expanded
from stn_jax.files import digest

_TRAIN, _TEST = "train", "test"


def list_folders(config: ConfigDict) -> Listing:
    """Returns the pictures of `config.dir`, split by `config.split`.

    Pictures are mixed, always in the same way; `config.subset` selects the first training pictures.

    Raises:
        UserError: there are no pictures, fewer than two classes, classes to test on that are not
            trained, or nothing to train or to test on.
    """
    root = expanded(config.dir, "config.data.dir")
    if not root.is_dir():
        problem = "is not a folder" if root.exists() else "does not exist"
        raise UserError(
            f"--config.data.dir={config.dir} {problem}: name the folder that holds your pictures, "
            "such as DIR/train/CLASS/1.png and DIR/test/CLASS/2.png"
        )
    if config.split == "folders":
        folders = {name: read_folder(root / name) for name in _split_folders(root)}
        train, test = (folders[name].files for name in (_TRAIN, _TEST))
    else:
        inner = root / _TRAIN
        base = inner if inner.is_dir() and subfolders(inner) else root
        folders = {"": read_folder(base)}
        train, test = _divided(folders[""].files, config, base.name)
    class_names = _checked_classes(config.classes, train, test, root)
    notes = _notes(folders, root)
    passed_over = {file.class_name for file in (*train, *test)}.difference(class_names)
    if passed_over:
        notes.append(f"not in config.data.classes, so left out: {shortened(sorted(passed_over))}")
    sides = {
        side: [file for file in files if file.class_name in set(class_names)]
        for side, files in ((_TRAIN, train), (_TEST, test))
    }
    known = [f"{side} {file.name} {file.size}" for side, files in sides.items() for file in files]
    return Listing(
        title=printable(root.resolve().name),
        class_names=class_names,
        train=_split(sides[_TRAIN], class_names, root, config.subset),
        test=_split(sides[_TEST], class_names, root),
        identity=_digest(known),
        notes=notes,
    )


def _split_folders(root: Path) -> Sequence[str]:
    found = subfolders(root)
    for name in (_TRAIN, _TEST):
        if name not in found:
            there = f"its folders are {shortened(sorted(found))}" if found else "it has no folders"
            raise UserError(
                f"{root} has no folder {name!r} ({there}): name the folder that holds {_TRAIN} and "
                f"{_TEST}, or have the pictures split with --config.data.split=random"
            )
    return _TRAIN, _TEST


def _divided(
    files: Sequence[PictureFile], config: ConfigDict, folder: str
) -> tuple[list[PictureFile], list[PictureFile]]:
    """Returns the pictures to train on and to test on, as `config.split` says."""
    names = [file.name for file in files]
    if config.split == "list":
        if not config.list:
            raise UserError(
                "config.data.split=list needs --config.data.list=FILE, a text file with the "
                "pictures to test on, a line for each"
            )
        listed = listed_names(expanded(config.list, "config.data.list"), set(names), folder)
        is_test = np.array([name in listed for name in names])
        if is_test.all():
            raise UserError(f"--config.data.list={config.list} leaves no pictures to train on")
    else:
        groups = names
        if config.split == "group":
            pattern = re.compile(config.group)
            groups = [group_of(name, pattern) for name in names]
        classes = [file.class_name for file in files]
        is_test = split_groups(groups, classes, config.test_share, config.split_seed)
    sides = [[file for file, there in zip(files, is_test, strict=True) if there == side]
             for side in (False, True)]  # fmt: skip
    return sides[0], sides[1]


def _checked_classes(
    chosen: Sequence[str], train: Sequence[PictureFile], test: Sequence[PictureFile], root: Path
) -> Sequence[str]:
    """Returns the chosen classes, or all if none are chosen."""
    trained, tested = ({file.class_name for file in files} for files in (train, test))
    class_names = tuple(chosen) or tuple(sorted(trained))
    unknown = sorted(tested - trained)
    if unknown and not chosen:
        raise UserError(
            f"{root} has test pictures of classes without training pictures "
            f"({shortened(unknown)}): add pictures to train on, or remove these"
        )
    missing = sorted(set(class_names) - trained)
    if missing:
        raise UserError(
            f"{root} has no training pictures of {shortened(missing)}: add some, or change "
            "config.data.classes"
        )
    if len(class_names) < 2:
        raise UserError(
            f"{root} has pictures of one class, {class_names[0]!r}: a network needs at least two "
            "to choose from"
        )
    if not tested & set(class_names):
        raise UserError(f"{root} has no test pictures of {shortened(class_names)}: add some")
    return class_names


def _notes(folders: dict[str, Folder], root: Path) -> list[str]:
    notes = []
    for name, folder in folders.items():
        where = f"{root / name}"
        if folder.empty:
            notes.append(f"{where} has folders without pictures: {shortened(folder.empty)}")
        if folder.others:
            kinds = ", ".join(f"{count} {end}" for end, count in folder.others.most_common(5))
            notes.append(f"{where} has other files, which are passed over: {kinds}")
    return notes


def _split(
    files: Sequence[PictureFile], class_names: Sequence[str], root: Path, subset: int = 0
) -> Split:
    order = np.argsort(mixed_places(len(files)))
    mixed = [files[place] for place in order[: subset or None]]
    labels = {name: label for label, name in enumerate(class_names)}

    def items() -> Iterator[Item]:
        for file in mixed:
            yield Item(file.name, labels[file.class_name], functools.partial(_read, file))

    return Split(
        where=str(root),
        num_pictures=len(mixed),
        items=items,
        identity=_digest(
            [str(root.resolve())]
            + [f"{file.name} {file.size} {file.stamp} {labels[file.class_name]}" for file in mixed]
        ),
    )


def _read(file: PictureFile) -> bytes:
    if file.stamp == LINK_TO_NOWHERE:
        raise UnusableError("it is a link to nowhere")
    try:
        return content_of(file.path)
    except OSError as error:
        raise UserError(
            f"{file.path} could be listed but not read ({error.strerror}): run again when it is "
            "there"
        ) from error


def _digest(lines: Sequence[str]) -> str:
    return digest("\n".join(lines).encode(errors="surrogateescape"))
