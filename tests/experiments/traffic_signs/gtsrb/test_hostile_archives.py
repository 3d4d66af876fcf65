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
from tests.experiments.tiny import launch, launch_command
from tests.experiments.traffic_signs.archives import (
    contents,
    pictures_to_test,
    training,
    write_archives,
    write_zip,
)

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


def cut_short(folder):
    path = folder / TRAINING
    path.write_bytes(path.read_bytes()[:-2000])


def swapped(folder):
    (folder / TRAINING).write_bytes((folder / TEST).read_bytes())


def without_a_column(folder):
    content = contents(training(), pictures_to_test())[TEST_CLASSES]["GT-final_test.csv"]
    write_zip(folder / TEST_CLASSES, {"GT-final_test.csv": content.replace(b"ClassId", b"Class")})


def leading_outside(folder):
    members = contents(training(), pictures_to_test())[TRAINING]
    write_zip(folder / TRAINING, members | {"../../outside.ppm": b"P6"})


@pytest.mark.parametrize("spoil", [cut_short, swapped, without_a_column, leading_outside])
def test_training_ends_with_one_line_and_leaves_nothing_prepared(tmp_path, spoil):
    archives = write_archives(tmp_path / "archives")
    spoil(archives)
    run = launch(
        [
            *(launch_command(None)[0], "launch.py", "--config=configs/gtsrb_cnn.py:quick"),
            f"--config.data.manual_dir={archives}",
            f"--config.data.data_dir={tmp_path / 'data'}",
            f"--workdir={tmp_path / 'run'}",
        ]
    )
    assert run.returncode == 2, run.stdout + run.stderr
    lines = [line for line in run.stderr.splitlines() if line.startswith("launch.py: ")]
    assert len(lines) == 1 and str(archives) in lines[0]
    assert "Traceback" not in run.stderr
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert not (tmp_path / "run").exists()


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
