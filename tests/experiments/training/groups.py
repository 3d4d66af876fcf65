"""Groups of real processes that train one run together, on this machine's loopback interface."""

import contextlib
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
        self._processes, self._devices = processes, devices
        self._times = SHORT_TIMES.format(connect=connect, heartbeat=heartbeat)

    def __enter__(self) -> "Group":
        self._runs = []
        for _ in range(self._processes):
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            runs = ForkedRuns(folder, self._devices, self._times)
            self._runs.append(self._stack.enter_context(runs))
        return self

    def __exit__(self, *exception) -> None:
        self._stack.close()

    def launch(
        self, command: list[str], signals: dict[int, list[tuple[int, float]]] | None = None
    ) -> list[Ended]:
        """Runs a command in all processes.

        Args:
            command: the command, which names neither the coordinator nor the process.
            signals: what is sent to which process, as in `ForkedRuns.launch`.
        """
        joined = [command]
        if len(self._runs) > 1:
            joined = [
                [*command, *flags(i, len(self._runs), port)]
                for port in [free_port()]
                for i in range(len(self._runs))
            ]
        with ThreadPoolExecutor(len(self._runs)) as pool:
            futures = [
                pool.submit(run.launch, own, *(signals or {}).get(i, ()))
                for i, (run, own) in enumerate(zip(self._runs, joined, strict=True))
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
