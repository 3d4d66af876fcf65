"""Remembers which decoded pictures belong to a run, for when their folder is gone."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from ml_collections import ConfigDict

from stn_jax.errors import UserError
from stn_jax.experiments.own_pictures.listing import Item, Listing, Split
from stn_jax.files import digest, write_atomically


def remember(listing: Listing, config: ConfigDict, folder: Path) -> None:
    """Writes a listing, without its pictures, to a file in the folder of decoded pictures."""
    path = _path(config, folder)
    splits = {
        name: {"where": split.where, "num_pictures": split.num_pictures, "identity": split.identity}
        for name, split in (("train", listing.train), ("test", listing.test))
    }
    content = listing._asdict() | splits
    if not path.exists():
        with contextlib.suppress(OSError):  # it is needed only later, if at all
            write_atomically(path, json.dumps(content, indent=2) + "\n")


def remembered(config: ConfigDict, folder: Path) -> Listing | None:
    """Returns the listing of an earlier run with the same config, or None if there is none.

    Its pictures can only be read from the cache.
    """
    try:
        content = json.loads(_path(config, folder).read_text())
        splits = {
            name: Split(**content[name], items=lambda: _gone(config)) for name in ("train", "test")
        }
        note = f"{config.dir} does not exist: this uses its pictures as they were decoded earlier"
        return Listing(**(content | splits | {"notes": [note]}))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _gone(config: ConfigDict) -> Iterator[Item]:
    raise UserError(
        f"--config.data.dir={config.dir} does not exist, and its pictures are not among "
        "the decoded ones: put the folder back"
    )


def _path(config: ConfigDict, folder: Path) -> Path:
    settings = {name: value for name, value in config.to_dict().items() if name != "data_dir"}
    return folder / f"{digest(json.dumps(settings, sort_keys=True).encode())}.json"
