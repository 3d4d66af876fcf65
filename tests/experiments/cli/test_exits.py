"""Tests of how commands end: with at most one line on stderr and an exit code."""

import re
import subprocess
import sys

import pytest

PROGRAM = """
import errno, logging, os, signal, sys, time, warnings
from stn_jax.errors import UserError
from stn_jax.experiments.cli.exits import reported
from stn_jax.experiments.stopping import exit_code, stop_on_signals
from stn_jax.experiments.training.diverged import TrainingDivergedError

def send(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)

def fail(error):
    raise error

class Dropping:
    def __del__(self):
        send(signal.SIGINT)
        time.sleep(0)

def drop():
    Dropping()
    while True:
        time.sleep(0.01)

def stop_in_time(*numbers):
    with stop_on_signals() as stop_asked:
        send(*numbers)
        while not stop_asked.is_set():
            time.sleep(0.01)
        if numbers[1:]:
            time.sleep(600)
    sys.exit(exit_code())

def into(path):
    os.dup2(os.open(path, os.O_WRONLY), 1)
    print("more than nothing")

def into_closed_pipe():
    reader, writer = os.pipe()
    os.dup2(writer, 1)
    os.close(reader)
    print("more than nothing")

CASES = {
    "end": lambda: print("printed"),
    "exit": lambda: sys.exit(0),
    "user error": lambda: fail(UserError("no such thing")),
    "diverged": lambda: fail(TrainingDivergedError("the loss is nan")),
    "missing file": lambda: open("/nowhere/file"),
    "error of a system call": lambda: fail(OSError(errno.ENOSPC, "No space left on device")),
    "bug": lambda: fail(ZeroDivisionError()),
    "interrupt": lambda: send(signal.SIGINT),
    "terminate": lambda: send(signal.SIGTERM),
    "dropped interrupt": drop,
    "interrupt in time": lambda: stop_in_time(signal.SIGINT),
    "terminate in time": lambda: stop_in_time(signal.SIGTERM),
    "terminate and interrupt": lambda: stop_in_time(signal.SIGTERM, signal.SIGINT),
    "full device": lambda: into("/dev/full"),
    "closed pipe": into_closed_pipe,
    "warning": lambda: warnings.warn("of a library"),
    "note": lambda: logging.getLogger("stn_jax.module").info("a note of this package"),
}

for case, run in CASES.items():
    if not os.fork():
        signal.signal(signal.SIGINT, signal.default_int_handler)  # CI may ignore it
        with reported("program"):
            os.dup2(os.open(f"{sys.argv[1]}/{case}", os.O_WRONLY | os.O_CREAT), 2)
            run()
        sys.exit()
    print(case, os.waitstatus_to_exitcode(os.wait()[1]), sep=":", flush=True)
"""

EXPECTED = {
    "end": (0, ""),
    "exit": (0, ""),
    "user error": (2, "program: no such thing"),
    "diverged": (1, "program: the loss is nan"),
    "missing file": (2, "program: /nowhere/file: No such file or directory"),
    "error of a system call": (2, "program: No space left on device"),
    "bug": (1, r"Traceback .*ZeroDivisionError"),
    "interrupt": (130, "program: stopped"),
    "terminate": (143, "program: stopped"),
    "dropped interrupt": (130, "program: stopped"),
    "interrupt in time": (130, ""),
    "terminate in time": (143, ""),
    "terminate and interrupt": (130, "program: stopped at once"),
    "full device": (2, "program: No space left on device"),
    "closed pipe": (141, ""),
    "warning": (0, ""),
    "note": (0, "a note of this package"),
}


@pytest.fixture(scope="module")
def ends(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ends")
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)], capture_output=True, text=True, check=True
    )
    lines = [line.split(":") for line in run.stdout.splitlines() if ":" in line]
    return {case: (int(code), (folder / case).read_text()) for case, code in lines}


@pytest.mark.parametrize("case", EXPECTED)
def test_every_end_has_its_exit_code_and_line(ends, case):
    code, line = EXPECTED[case]
    assert ends[case][0] == code
    assert re.fullmatch(line, ends[case][1].strip(), re.DOTALL), ends[case][1]


CLOSED = """
import os, sys
for descriptor in (0, 1, 2):
    os.close(descriptor)
os.execv(sys.executable, [sys.executable, "-c", '''
import os, sys
from stn_jax.experiments.cli.exits import reported
with reported("program"):
    with open(sys.argv[1], "w") as file:
        print("not in the file", flush=True)
        print("not in the file", file=sys.stderr, flush=True)
        os.write(1, b"not in the file")
        file.write("in the file")
''', sys.argv[1]])
"""


def test_a_file_does_not_take_the_place_of_a_closed_stream(tmp_path):
    path = tmp_path / "file"
    subprocess.run([sys.executable, "-c", CLOSED, str(path)], check=True)
    assert path.read_text() == "in the file"


WITHOUT_FOLDER = """
import os, tempfile
from stn_jax.experiments.cli.exits import reported
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
with reported("program"):
    print("not reached")
"""


def test_a_working_directory_that_was_deleted_is_named_in_one_line():
    command = [sys.executable, "-c", WITHOUT_FOLDER]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == (
        "program: the working directory no longer exists: change to another one\n"
    )
