import os
import subprocess
import sys
import threading

import pytest

from stn_jax.files import remove_leftovers, write_atomically


@pytest.mark.parametrize("count", [2, 8])
def test_threads_may_write_the_same_path(tmp_path, count):
    path = tmp_path / "file"
    contents = [bytes([65 + i]) * 100_000 for i in range(count)]
    errors = []
    together = threading.Barrier(count)

    def write(content):
        try:
            together.wait()
            for _ in range(50):
                write_atomically(path, content)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert path.read_bytes() in contents and os.listdir(tmp_path) == ["file"]


def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    killed = (
        "import os, signal, pathlib; from stn_jax.files import write_atomically\n"
        "pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"write_atomically(pathlib.Path({str(tmp_path / 'a.json')!r}), 'half')"
    )
    subprocess.run([sys.executable, "-c", killed], check=False, timeout=100)
    (leftover,) = tmp_path.iterdir()
    ours = f".a.json.{os.getpid()}-01234567.tmp"
    others = {"a.json", ".hidden", ".a.json.tmp", ".a.json.1", ours}
    for name in others:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == others
    os.utime(tmp_path / ours, (0, 0))  # too old to be written still: the number was given anew
    leftover.mkdir()  # what cannot be removed is left alone
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == others - {ours} | {leftover.name}
    remove_leftovers(tmp_path / "nowhere")
