"""Groups of real processes that train one run together, on this machine's loopback interface."""

import socket
from collections.abc import Mapping
from typing import NamedTuple

from tests.experiments.forked import Ended, ForkedRuns, Signals

SILENT = {"TF_CPP_MIN_LOG_LEVEL": "4"}
"""The variables of `ForkedRuns` with which programs need not start again."""

_SHORT_TIMES = """
from stn_jax.experiments.training import hosts
hosts.CONNECT_SECONDS, hosts.HEARTBEAT_SECONDS = {connect}, {heartbeat}
"""


class Group(NamedTuple):
    """Starts the same command in N processes of D devices."""

    runs: ForkedRuns
    processes: int
    devices: int
    connect: int = 120
    heartbeat: int = 100

    def launch(
        self,
        command: list[str],
        *,
        own: list[list[str]] | None = None,
        signals: Mapping[int, Signals] | None = None,
        preparation: str = "",
    ) -> list[Ended]:
        """Runs a command in all processes.

        Args:
            command: the command, which names neither the coordinator nor the process.
            own: further arguments of each process.
            signals: as in `ForkedRuns.launch_all`.
            preparation: as there.
        """
        port = free_port()
        commands = [
            [
                *(*command, *(own[process] if own else ())),
                *(flags(process, self.processes, port) * (self.processes > 1)),
            ]
            for process in range(self.processes)
        ]
        times = _SHORT_TIMES.format(connect=self.connect, heartbeat=self.heartbeat)
        return self.runs.launch_all(
            commands, devices=self.devices, signals=signals, preparation=times + preparation
        )


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
