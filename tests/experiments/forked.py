"""Runs `launch.py` many times in processes that share the imports, which take most of the time."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.experiments.tiny import REPOSITORY, environment

_SERVER = """
import json, os, signal, sys, time
from stn_jax.experiments.cli import flags, modes
from stn_jax.experiments.training import loop

modes.RunPictures = None

def locked_together(folder, locked=loop.locked, **options):
    open(f"{job['meet']}/{os.getpid()}", "w").close()
    while len(os.listdir(job["meet"])) < 2:
        time.sleep(0.001)
    return locked(folder, **options)

def processor_seconds(process):
    return time.clock_gettime(~process << 3 | 2)  # clock_getcpuclockid of Linux's C library

print("ready", flush=True)
while line := sys.stdin.readline():
    job = json.loads(line)
    child = os.fork()
    if not child:
        for path, descriptor in ((job["stdout"], 1), (job["stderr"], 2)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if job["meet"]:
            loop.locked = locked_together
        flags.launch(job["argv"])
    ended = 0
    signals = job["signals"]
    while not ended:
        if signals:
            if processor_seconds(child) >= signals[0][1]:
                os.kill(child, signals.pop(0)[0])
            time.sleep(0.001)
        ended, status, usage = os.wait4(child, os.WNOHANG if signals else 0)
    answer = os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
    print(json.dumps(answer), flush=True)
"""


class Ended(NamedTuple):
    """A process that has ended."""

    code: int  # as a shell tells it
    stdout: str
    stderr: str
    seconds: float  # of processor time


class ForkedRuns:
    """Use it as a context manager."""

    def __init__(self, folder: Path, devices: int = 1, preparation: str = ""):
        self._folder, self._devices, self._preparation = folder, devices, preparation

    def __enter__(self) -> "ForkedRuns":
        self._server = subprocess.Popen(
            [sys.executable, "-c", self._preparation + _SERVER],
            cwd=REPOSITORY,
            env=environment(self._devices) | {"PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._server.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *exception) -> None:
        self._server.stdin.close()
        self._server.wait()

    def launch(
        self, command: list[str], *signals: tuple[int, float], meet: Path | None = None
    ) -> Ended:
        """Runs a command of `launch_command`, and sends it signals.

        Args:
            command: the command.
            signals: their numbers, and the seconds of processor time before each.
            meet: an empty folder, where two processes wait for each other before they lock theirs.
        """
        _, *argv = command
        outputs = {name: str(self._folder / name) for name in ("stdout", "stderr")}
        job = {"argv": argv, "signals": signals, "meet": meet and str(meet), **outputs}
        print(json.dumps(job), file=self._server.stdin, flush=True)
        code, seconds = json.loads(self._server.stdout.readline())
        stdout, stderr = (Path(path).read_text() for path in outputs.values())
        return Ended(code if code >= 0 else 128 - code, stdout, stderr, seconds)
