import errno
import os
import resource
import sys
from types import SimpleNamespace

import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.data.tfds_support import damage_reported, prepare_once, remove_incomplete
from stn_jax.experiments.distorted_mnist import tfds_mnist
from stn_jax.experiments.locks import LOCK_FILE
from stn_jax.experiments.street_numbers.svhn import prepared

DAMAGE = {
    "a missing file": FileNotFoundError(errno.ENOENT, "No such file"),
    "a folder instead of a file": IsADirectoryError(errno.EISDIR, "Is a directory"),
    "a picture, for Pillow": OSError("image file is truncated"),
    "a chunk, for Pillow": SyntaxError("broken PNG file"),
    "a record, for array_record": RuntimeError("chunk data hash mismatch"),
    "text": UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    "a value": ValueError("not what it should be"),
    "the end": EOFError("No data left in file"),
}
ENVIRONMENT = {
    "too few descriptors": OSError(errno.EMFILE, "Too many open files"),
    "no permission": PermissionError(errno.EACCES, "Permission denied"),
    "no memory": OSError(errno.ENOMEM, "Cannot allocate memory"),
}
OURS = [AttributeError, TypeError, KeyError, NameError, NotImplementedError, MemoryError]


def raised(error, folder):
    with pytest.raises(UserError) as caught, damage_reported("the data", folder):
        raise error
    assert str(caught.value).startswith(f"cannot read the data in {folder} (")
    return str(caught.value)


@pytest.mark.parametrize("error", DAMAGE.values(), ids=DAMAGE)
def test_damage_leads_to_the_advice_to_delete(tmp_path, error):
    assert "delete that folder" in raised(error, tmp_path)


@pytest.mark.parametrize("error", ENVIRONMENT.values(), ids=ENVIRONMENT)
def test_what_is_no_damage_does_not(tmp_path, error):
    assert "delete" not in raised(error, tmp_path)


@pytest.mark.parametrize("kind", OURS)
def test_a_mistake_of_ours_passes(tmp_path, kind):
    with pytest.raises(kind, match="ours"), damage_reported("the data", tmp_path):
        raise kind("ours")


def test_array_records_error_for_too_few_descriptors_is_no_damage(tmp_path):
    (tmp_path / "a.array_record-00000-of-00001").touch()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (os.open(os.devnull, os.O_RDONLY) + 1, hard))
    try:
        message = raised(RuntimeError("open() failed: Too many open files"), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "Too many open files" in message and "delete" not in message


@pytest.fixture
def builder(tmp_path):
    return SimpleNamespace(data_path=tmp_path / "name" / "1.0.0")


def prepare_and_fail(builder, cause):
    """Fails as tfds does: with an error whose cause is the real one."""

    def write(scratch):
        (scratch / "half").touch()
        try:
            raise cause
        except type(cause) as error:
            raise RuntimeError("In an example: [0, 0, ...]") from error

    prepare_once(builder, write, "the data")


def test_an_error_while_writing_is_told_by_its_cause(builder):
    with pytest.raises(UserError, match=r"cannot prepare the data .*\(\[Errno 28\] No space left"):
        prepare_and_fail(builder, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(UserError, match=r"^train\.tar\.gz is altered$"):
        prepare_and_fail(builder, UserError("train.tar.gz is altered"))
    assert not list(builder.data_path.parent.iterdir())


@pytest.mark.parametrize("kind", OURS)
def test_a_mistake_of_ours_while_writing_passes(builder, kind):
    with pytest.raises(RuntimeError, match="In an example"):
        prepare_and_fail(builder, kind("ours"))
    assert not list(builder.data_path.parent.iterdir())


def test_what_killed_processes_left_is_removed(tmp_path):
    remove_incomplete(tmp_path / "nowhere")
    (tmp_path / "1.0.0").mkdir()
    (tmp_path / "incomplete.ABC_1.0.0").mkdir()
    (tmp_path / "incomplete.ABC_1.0.0" / "half").touch()
    (tmp_path / LOCK_FILE).touch()
    remove_incomplete(tmp_path)
    assert os.listdir(tmp_path) == ["1.0.0"]


@pytest.mark.parametrize("load", [tfds_mnist.load, prepared.prepare])
def test_without_array_record_a_line_says_so(load, monkeypatch, tmp_path):
    """As on Windows, for which there is no such package."""
    monkeypatch.setitem(sys.modules, "array_record", None)
    with pytest.raises(UserError, match="array-record, which is not installed") as caught:
        load(str(tmp_path), None)
    assert "\n" not in str(caught.value)
