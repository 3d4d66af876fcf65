"""Tests of the locks of folders, between threads and between processes."""

import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.locks import locked

FORK = multiprocessing.get_context("fork")  # takes no time, other than a new interpreter


def hold(folder, channel, then=lambda: None):
    with locked(folder):
        then()
        channel.send("locked")
        channel.recv()


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path` until `release` is called."""
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=hold, args=(tmp_path, theirs))
    process.release = lambda: ours.send("release")
    process.start()
    ours.recv()
    yield process
    process.kill()
    process.join()


def test_a_lock_leaves_nothing_in_the_folder(tmp_path):
    with locked(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    assert not list(tmp_path.iterdir())


def test_who_holds_the_lock_is_told(tmp_path, holder):
    host = re.escape(socket.gethostname())
    who = rf"is in use by process {holder.pid} on {host} since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d$"
    with pytest.raises(UserError, match=who), locked(tmp_path, wait=False):
        pass
    holder.release()
    holder.join()
    with locked(tmp_path, wait=False):
        pass


def test_a_killed_process_holds_no_lock(tmp_path, holder):
    holder.kill()
    holder.join()
    with locked(tmp_path, wait=False):
        pass
    assert not list(tmp_path.iterdir())


def test_waiting_is_told_in_one_line_and_ends_when_the_lock_is_free(tmp_path, holder, capsys):
    entered = threading.Event()

    def wait():
        with locked(tmp_path):
            entered.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not entered.wait(0.5)
    holder.release()
    thread.join()
    assert entered.is_set()
    told = capsys.readouterr().err
    assert re.fullmatch(rf"waiting for process {holder.pid} on .*, which writes to .*\n", told)


def test_threads_take_turns(tmp_path):
    inside, most = [], []

    def work():
        for _ in range(20):
            with locked(tmp_path):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
    assert len(most) == 80


def test_a_child_process_keeps_no_lock(tmp_path):
    """Neither a fork nor a program that was started; both outlive the lock here."""
    with locked(tmp_path):
        fork = FORK.Process(target=time.sleep, args=(600,))
        fork.start()
        program = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with locked(tmp_path, wait=False):
            pass
        assert fork.is_alive()
        assert program.poll() is None
    finally:
        fork.kill()
        fork.join()
        program.communicate(b"\n")


def test_a_fork_outlives_a_killed_holder_without_its_lock(tmp_path):
    ours, theirs = FORK.Pipe()

    def fork():
        if not (child := os.fork()):
            time.sleep(600)
        theirs.send(child)

    holder = FORK.Process(target=hold, args=(tmp_path, theirs, fork))
    holder.start()
    child = ours.recv()
    assert ours.recv() == "locked"
    holder.kill()
    holder.join()
    try:
        with locked(tmp_path, wait=False):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the user may write everywhere")
def test_a_folder_that_cannot_be_written_needs_no_lock(tmp_path):
    tmp_path.chmod(0o500)
    with locked(tmp_path, wait=False):
        assert not list(tmp_path.iterdir())
    tmp_path.chmod(0o700)


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch, capsys):
    fcntl = pytest.importorskip("fcntl")

    def flock(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path):
        pass
    assert capsys.readouterr().err == f"{tmp_path} cannot be locked (Operation not supported)\n"
