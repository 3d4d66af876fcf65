"""Archives and digitStruct.mat files with random damage, in a process of bounded memory."""

import gzip
import io
import multiprocessing
import random
import resource
import sys
import tarfile

import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.data.unusable import UnusableError
from stn_jax.experiments.street_numbers.svhn.format1 import check_archive, read_pictures
from stn_jax.experiments.street_numbers.svhn.svhn_full_numbers.usable import to_example
from tests.experiments.damage import damaged
from tests.experiments.street_numbers.archives import plain, write_archives

pytestmark = pytest.mark.stress

FORK = multiprocessing.get_context("fork")
MOST_MEMORY = 1 << 30  # bytes more than before


def with_right_checksums(content):
    """Repairs the checksums of a tar archive's headers, so that the damage is believed."""
    content = bytearray(content)
    for start in range(0, len(content) - 511, 512):
        header = content[start : start + 512]
        if header[257:262] == b"ustar":
            total = sum(header) - sum(header[148:156]) + 8 * 32
            content[start + 148 : start + 156] = b"%06o\0 " % total
    return bytes(content)


def repacked(zipped, rng):
    """Returns an archive with damage in digitStruct.mat or in a picture only."""
    victim = rng.choice(["digitStruct.mat", "digitStruct.mat", "2.png"])
    new = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(zipped)) as archive,
        tarfile.open(fileobj=new, mode="w:gz") as target,
    ):
        for member in archive:
            content = archive.extractfile(member).read() if member.isfile() else b""
            if member.name.endswith(victim):
                content = damaged(content, rng)
                member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    return new.getvalue()


def read_many(zipped, folder, seed, count):
    rng = random.Random(seed)
    before = peak_memory()
    path = folder / "train.tar.gz"
    scratch = folder / "scratch"
    scratch.mkdir()
    for _ in range(count):
        kind = rng.choice(["file", "tar", "headers", "content", "content"])
        if kind == "file":
            content = damaged(zipped, rng)
        elif kind == "content":
            content = repacked(zipped, rng)
        else:
            content = damaged(gzip.decompress(zipped), rng)
            content = gzip.compress(with_right_checksums(content) if kind == "headers" else content)
        path.write_bytes(content)  # stays there for the inspection of a failure
        problem = ""
        try:
            for picture in read_pictures(check_archive(path, "train", scratch)):
                to_example(picture)
        except (UserError, UnusableError) as error:
            problem = str(error)
        assert problem.isprintable()
        assert not list(scratch.iterdir())
    path.unlink()
    assert peak_memory() - before < MOST_MEMORY


def peak_memory():
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize("seed", range(10))
def test_damage_ends_in_a_line_or_in_nothing(tmp_path, seed):
    folder = write_archives(tmp_path / "sound", train=plain(6))
    zipped = (folder / "train.tar.gz").read_bytes()
    process = FORK.Process(target=read_many, args=(zipped, tmp_path, seed, 100))
    process.start()  # HDF5 might crash
    process.join(600)
    assert process.exitcode == 0, f"see {tmp_path / 'train.tar.gz'}"
