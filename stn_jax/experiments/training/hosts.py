"""Several processes, on one host or on many, that train one run together.

JAX's distributed runtime connects them through a coordinator, which is process 0. It notices within
`HEARTBEAT_SECONDS` that a process no longer answers, and then aborts the others; this module turns
that into one line and an exit code. In a process that trains alone, all functions do nothing.
"""

import contextlib
import ctypes
import datetime
import itertools
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import jax
import numpy as np
from jax._src import distributed  # its key-value store has no public name; Orbax uses it too
from jax.experimental import multihost_utils

from stn_jax.errors import UserError
from stn_jax.experiments.durations import about

Tree = TypeVar("Tree")

LOST = 3
"""The exit code of a process whose run has lost another process."""

CONNECT_SECONDS = 300
"""How long to wait until all processes have started."""

HEARTBEAT_SECONDS = 60
"""How long a process may be silent before it counts as dead."""

MEETING_SECONDS = 3600.0
"""How long processes wait for each other, for example while one draws pictures."""

DATA_SECONDS = 24 * 3600.0
"""How long they wait for each other's data, which may have to be prepared."""

_LEAVING_SECONDS = 5  # how long to wait at the end, or to tell the others of a failure
_FOLDER = "stn_jax"
_PREEMPTION_NOTICE = "RECEIVED_PREEMPTION_NOTICE"  # the key that JAX's preemption service watches
_meetings = itertools.count()
_abort_handler: Any = None  # must outlive the call that installs it


class LostProcessError(Exception):
    """Raised when another process of the run no longer answers."""


def count() -> int:
    """Returns the number of processes of this run."""
    return distributed.global_state.num_processes


def is_writer() -> bool:
    """Returns whether this process writes the run's files and prints: only process 0 does."""
    return distributed.global_state.process_id == 0


def join(
    program: str,
    coordinator: str,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Connects this process to the others, before JAX is used; from then on, only process 0 prints.

    If that fails, or if another process is lost later, the process ends with one line.

    Args:
        program: the name that this line starts with.
        coordinator: HOST:PORT of process 0, or "auto" to let JAX detect it and the other arguments
            from the environment of a TPU pod, Slurm, Open MPI or Kubernetes.
        num_processes: the number of processes.
        process_id: the number of this process, from 0.

    Raises:
        UserError: the arguments cannot be used.
    """
    _hide_what_jax_prints_at_the_end()
    bind_address, detection = None, None
    if coordinator != "auto":
        bind_address, detection = _checked(coordinator, num_processes, process_id), "deactivate"
    where = "the coordinator" if coordinator == "auto" else f"the coordinator {coordinator}"
    if not process_id:
        print(f"joining {where}, for at most {about(CONNECT_SECONDS)}", flush=True)
    _when_jax_aborts(
        f"{program}: {where} or some of the processes cannot be reached within "
        f"{about(CONNECT_SECONDS)}: check the address, and that all processes have started",
        2,
    )
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        jax.distributed.initialize(
            None if coordinator == "auto" else coordinator,
            num_processes,
            process_id,
            cluster_detection_method=detection,
            initialization_timeout=CONNECT_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=HEARTBEAT_SECONDS,
            coordinator_bind_address=bind_address,
        )
    except Exception as error:  # the detections raise what they like
        raise UserError(
            f"--coordinator={coordinator} cannot be used ({error}): name HOST:PORT of process 0, "
            "--num_processes and --process_id"
        ) from error
    for number, handler in handlers.items():  # JAX has set its own, which this undoes
        signal.signal(number, handler)
    _when_jax_aborts(
        f"{program}: another process of this run has ended or cannot be reached: its output says "
        "why; the same command in all processes resumes the run",
        LOST,
    )
    if not is_writer():
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _hide_what_jax_prints_at_the_end() -> None:
    """Starts this program again unless JAX's C++ code is silent, also in an abort, or chosen."""
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "1":  # JAX's default, read when it is imported
        sys.stdout.flush()
        silent = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "4"}
        os.execve(sys.executable, sys.orig_argv, silent)


def _checked(coordinator: str, num_processes: int | None, process_id: int | None) -> str | None:
    """Returns the address that process 0 listens at, or None to listen at all; raises UserError."""
    if num_processes is None or process_id is None:
        raise UserError("--coordinator=HOST:PORT also needs --num_processes and --process_id")
    if not 0 <= process_id < num_processes:
        raise UserError(f"--process_id={process_id} must be in 0..{num_processes - 1}")
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise UserError(f"--coordinator={coordinator} must be HOST:PORT or auto")
    try:
        family, kind, *_, address = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM
        )[0]
    except OSError as error:
        raise UserError(f"--coordinator={coordinator}: {host}: {error.strerror}") from error
    if process_id:
        return None
    with socket.socket(family, kind) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(address)
        except OSError as error:
            raise UserError(
                f"--coordinator={coordinator}: process 0 cannot listen there ({error.strerror}): "
                "name a free port of the host of process 0"
            ) from error
    return coordinator


def _when_jax_aborts(line: str, code: int) -> None:
    """Makes an abort of JAX's C++ threads, which Python cannot catch, print a line and exit."""
    global _abort_handler

    def end(number: int) -> None:
        with contextlib.suppress(OSError):
            os.write(2, f"{line}\n".encode())
        os._exit(code)

    _abort_handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(end)
    ctypes.CDLL(None).signal(signal.SIGABRT, _abort_handler)


@contextlib.contextmanager
def leaving_when_failed() -> Iterator[None]:
    """Ends this process at once if its body fails: JAX would wait for the others at exit.

    Process 0, whose end ends the others, gives them time to print what they fail at themselves.
    """
    try:
        yield
    except BaseException as error:
        if count() == 1 or (isinstance(error, SystemExit) and not error.code):
            raise
        if not isinstance(error, SystemExit):
            sys.excepthook(type(error), error, error.__traceback__)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        with contextlib.suppress(LostProcessError):
            _meet(f"{_FOLDER}/left", "", _LEAVING_SECONDS if is_writer() else 0)
        os._exit(error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1)


def meet(what: str, *, note: str = "", seconds: float = MEETING_SECONDS) -> list[str]:
    """Waits until all processes have come here; returns their notes, in the order of processes.

    Args:
        what: what they wait for, for messages.
        note: what this process tells the others.
        seconds: how long to wait.

    Raises:
        LostProcessError: some have not come in time.
    """
    if count() == 1:
        return [note]
    notes = _meet(f"{_FOLDER}/meetings/{next(_meetings)}", note, seconds)
    missing = [str(process) for process in range(count()) if process not in notes]
    if missing:
        raise LostProcessError(
            f"waited {about(seconds)} for {what} of process {', '.join(missing)}: its output may "
            "say why; the same command in all processes resumes the run"
        )
    return [notes[process] for process in range(count())]


def _meet(folder: str, note: str, seconds: float) -> dict[int, str]:
    """Leaves a note in a folder; returns all, by process, once there are all or time is up."""
    client: Any = distributed.global_state.client
    last, pause = time.monotonic() + seconds, 0.001
    try:
        client.key_value_set(f"{folder}/{distributed.global_state.process_id}", note)
        while True:
            found = client.key_value_dir_get(f"{folder}/")
            notes = {int(key.rpartition("/")[2]): text for key, text in found}
            if len(notes) == count() or time.monotonic() > last:
                return notes
            time.sleep(pause)
            pause = min(2 * pause, 0.5)
    except jax.errors.JaxRuntimeError as error:
        time.sleep(_LEAVING_SECONDS)  # JAX usually aborts this process now
        raise LostProcessError("process 0, the coordinator, no longer answers") from error


def agree(
    what: str, facts: Callable[[], Mapping[str, Any]], *, seconds: float = MEETING_SECONDS
) -> None:
    """Waits for all processes, and checks that the same facts hold in all.

    Args:
        what: what they wait for, for messages.
        facts: returns the facts of this process by name, as JSON values; only called if there are
            several processes.
        seconds: how long to wait.

    Raises:
        UserError: they differ.
        LostProcessError: as `meet`.
    """
    if count() == 1:
        return
    notes = meet(what, note=json.dumps(facts()), seconds=seconds)
    first, *others = map(json.loads, notes)
    for process, there in enumerate(others, 1):
        differing = [
            f"{name}: {first.get(name)!r} in process 0, {there.get(name)!r} in process {process}"
            for name in sorted(first.keys() | there.keys())
            if first.get(name) != there.get(name)
        ]
        if differing:
            raise UserError(
                f"all processes must run the same: {'; '.join(differing[:3])}"
                f"{' and more' if len(differing) > 3 else ''}"
            )


def from_writer(tree: Tree) -> Tree:
    """Returns the arrays that process 0 has passed; all must have passed the same shapes."""
    if count() == 1:
        return tree
    leaves, structure = jax.tree.flatten(tree)
    arrays = [np.asarray(leaf) for leaf in leaves]
    # As bytes, because JAX adds the arrays of all processes, which would lose the sign of -0.
    sent = np.frombuffer(b"".join(array.tobytes() for array in arrays), np.uint8)
    with _without_greeting():
        received = np.asarray(multihost_utils.broadcast_one_to_all(sent)).tobytes()
    ends = itertools.accumulate(array.nbytes for array in arrays)
    return jax.tree.unflatten(
        structure,
        [
            np.frombuffer(received[end - array.nbytes : end], array.dtype).reshape(array.shape)
            for array, end in zip(arrays, ends, strict=True)
        ],
    )


@contextlib.contextmanager
def _without_greeting() -> Iterator[None]:
    """Hides what Gloo, which JAX uses on CPUs, prints to stdout when it first connects."""
    sys.stdout.flush()
    number = sys.stdout.fileno()
    kept, nowhere = os.dup(number), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    try:
        yield
    finally:
        os.dup2(kept, number)
        os.close(kept)
        os.close(nowhere)


def stop_here(asked: bool, place: int) -> bool:
    """Returns whether to stop before dispatch number `place`; the answer is the same everywhere.

    All processes must ask before every dispatch. If one is asked to stop, JAX's preemption service
    agrees with the others on the next dispatch that none of them has begun.

    Args:
        asked: whether this process has been asked to stop.
        place: the number of dispatches before this one.
    """
    if count() == 1:
        return asked
    if asked:
        now = datetime.datetime.now(datetime.UTC).isoformat()
        client: Any = distributed.global_state.client
        client.key_value_set(_PREEMPTION_NOTICE, now, allow_overwrite=True)
    return multihost_utils.reached_preemption_sync_point(place)
