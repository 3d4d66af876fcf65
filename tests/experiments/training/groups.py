"""Groups of real processes that train one run together, on this machine's loopback interface."""

import contextlib
import functools
import socket
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.experiments.forked import Ended, ForkedRuns

SHORT_TIMES = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "4"  # so that the program need not start again
from stn_jax.experiments.training import hosts
hosts.CONNECT_SECONDS, hosts.HEARTBEAT_SECONDS = {connect}, {heartbeat}
"""


class Group:
    """Starts the same command in N processes of D devices. Use it as a context manager."""

    def __init__(self, processes: int, devices: int, *, connect: int = 120, heartbeat: int = 100):
        self._stack = contextlib.ExitStack()
        times = SHORT_TIMES.format(connect=connect, heartbeat=heartbeat)
        self._new = [
            functools.partial(ForkedRuns, devices=devices, preparation=times)
            for _ in range(processes)
        ]

    def __enter__(self) -> "Group":
        self._runs = [
            self._stack.enter_context(
                new(Path(self._stack.enter_context(tempfile.TemporaryDirectory())))
            )
            for new in self._new
        ]
        return self

    def __exit__(self, *exception) -> None:
        self._stack.close()

    def launch(
        self,
        command: list[str],
        *,
        own: list[list[str]] | None = None,
        signals: dict[int, list[tuple[int, float]]] | None = None,
    ) -> list[Ended]:
        """Runs a command in all processes.

        Args:
            command: the command, which names neither the coordinator nor the process.
            own: further arguments of each process.
            signals: what is sent to which process, as in `ForkedRuns.launch`.
        """
        processes, port = len(self._runs), free_port()
        commands = [
            [*command, *(own[i] if own else ()), *(flags(i, processes, port) * (processes > 1))]
            for i in range(processes)
        ]
        with ThreadPoolExecutor(processes) as pool:
            futures = [
                pool.submit(run.launch, commands[i], *(signals or {}).get(i, ()))
                for i, run in enumerate(self._runs)
            ]
        return [future.result() for future in futures]


def flags(process: int, processes: int, port: int) -> list[str]:
    return [
        f"--coordinator=127.0.0.1:{port}",
        f"--num_processes={processes}",
        f"--process_id={process}",
    ]


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]
