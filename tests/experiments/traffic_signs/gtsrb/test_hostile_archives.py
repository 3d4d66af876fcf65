"""Archives with random damage, read by a process of bounded memory."""

import contextlib
import io
import random
import resource
import sys
import zipfile

import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.data.unusable import UnusableError
from stn_jax.experiments.traffic_signs.gtsrb.archives import (
    TEST,
    TEST_CLASSES,
    TRAINING,
    archives_in,
    check_split,
    read_pictures,
)
from stn_jax.experiments.traffic_signs.gtsrb.usable import to_example
from tests.experiments.damage import damaged
from tests.experiments.traffic_signs.archives import contents, pictures_to_test, training, write_zip

pytestmark = pytest.mark.stress

MOST_MEMORY = 1 << 28  # bytes more than before


def unsound(members, rng):
    """Returns an archive with damage in the file or in one of its members."""
    stream = io.BytesIO()
    if rng.random() < 0.5:
        write_zip(stream, members, rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
        return damaged(stream.getvalue(), rng)
    lists = [name for name in members if name.endswith("csv")]
    victim = rng.choice([*lists, *members] if lists else [*members])
    write_zip(stream, members | {victim: damaged(members[victim], rng)})
    return stream.getvalue()


def read_all(folder):
    for name, paths in archives_in(folder).items():
        split = check_split(name, paths)
        for picture in read_pictures(split, [s for s in split.listed if s.name in split.present]):
            with contextlib.suppress(UnusableError):
                to_example(picture, name)


def peak_memory():
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize("seed", range(10))
def test_damage_ends_in_a_line_or_in_nothing(tmp_path, seed):
    rng = random.Random(seed)
    sound = contents(training(), pictures_to_test())
    for name, members in sound.items():
        write_zip(tmp_path / name, members)
    read_all(tmp_path)
    before = peak_memory()
    for _ in range(200):
        name = rng.choice([TRAINING, TEST, TEST_CLASSES])
        (tmp_path / name).write_bytes(unsound(sound[name], rng))
        with contextlib.suppress(UserError):
            read_all(tmp_path)
        write_zip(tmp_path / name, sound[name])
    assert peak_memory() - before < MOST_MEMORY
