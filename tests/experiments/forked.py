"""Runs commands many times in processes that share the imports, which take most of the time."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.experiments.tiny import REPOSITORY

_SERVER = """
import gc, json, os, signal, sys, time
import jax
from stn_jax.experiments.cli import flags, modes
from stn_jax.experiments.distorted_mnist.task import _load_once

modes.RunPictures = None
_load_once("embedded", data_dir="", manual_dir="")  # parsed once for all

def run(argv, stdout, stderr):
    for path, descriptor in ((stdout, 1), (stderr, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    jax.config.update("jax_num_cpu_devices", job["devices"])
    exec(job["preparation"], {})
    if argv[0] == "-c":
        _, code, *sys.argv[1:] = argv
        exec(code, {})
        sys.exit()
    flags.launch(argv)

def processor_seconds(process):
    return time.clock_gettime(~process << 3 | 2)  # clock_getcpuclockid of Linux's C library

gc.freeze()  # so that forks neither copy what is here nor take it apart at their end
print("ready", flush=True)
while line := sys.stdin.readline():
    job = json.loads(line)
    pending, answers = {}, {}
    for arguments, signals in job["processes"]:
        if not (child := os.fork()):
            run(*arguments)
        pending[child] = signals
        answers[child] = None
    while pending:
        for child, signals in pending.items():
            if signals and processor_seconds(child) >= signals[0][1]:
                os.kill(child, signals.pop(0)[0])
        ended, status, usage = os.wait4(-1, os.WNOHANG if any(pending.values()) else 0)
        if ended:
            del pending[ended]
            answers[ended] = os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
        else:
            time.sleep(0.001)
    print(json.dumps(list(answers.values())), flush=True)
os._exit(0)
"""

Signals = Sequence[tuple[int, float]]


class Ended(NamedTuple):
    """A process that has ended."""

    code: int  # as a shell tells it
    stdout: str
    stderr: str
    seconds: float  # of processor time


class ForkedRuns:
    """Use it as a context manager, with a folder and environment variables for all runs."""

    def __init__(self, folder: Path, **variables: str):
        self._folder, self._variables = folder, variables

    def __enter__(self) -> "ForkedRuns":
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            cwd=REPOSITORY,
            env=os.environ
            | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(REPOSITORY)}
            | self._variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._server.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *exception) -> None:
        self._server.stdin.close()
        self._server.wait()

    def launch(self, command: list[str], *signals: tuple[int, float]) -> Ended:
        """Runs a command, `python launch.py ...` or `python -c ...`, and sends it signals.

        Each is a number, and the seconds of processor time before it.
        """
        (ended,) = self.launch_all([command], signals={0: signals})
        return ended

    def launch_all(
        self,
        commands: Sequence[list[str]],
        *,
        devices: int = 1,
        signals: Mapping[int, Signals] | None = None,
        preparation: str = "",
    ) -> list[Ended]:
        """Runs commands at the same time, and waits for all.

        Args:
            commands: the commands, as `launch` takes them.
            devices: the number of devices of each.
            signals: what is sent to which process, as `launch` takes it.
            preparation: code that runs in each process first.
        """
        outputs = [
            [str(self._folder / f"{name}{i}") for name in ("stdout", "stderr")]
            for i in range(len(commands))
        ]
        processes = [
            ((argv, *paths), (signals or {}).get(i, ()))
            for i, ((_, *argv), paths) in enumerate(zip(commands, outputs, strict=True))
        ]
        job = {"processes": processes, "devices": devices, "preparation": preparation}
        print(json.dumps(job), file=self._server.stdin, flush=True)
        answers = json.loads(self._server.stdout.readline())
        return [
            Ended(
                code if code >= 0 else 128 - code,
                *(Path(path).read_text() for path in paths),
                seconds,
            )
            for (code, seconds), paths in zip(answers, outputs, strict=True)
        ]
