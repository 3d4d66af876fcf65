"""What Ctrl-C (SIGINT) and SIGTERM do to a process."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_first: int | None = None  # the first signal that asked this process to stop


class Terminated(SystemExit):
    """Raised by SIGTERM, as KeyboardInterrupt is by SIGINT."""


def exit_code() -> int:
    """Returns the exit code of a process that a signal has stopped, which is that of shells."""
    assert _first is not None
    return 128 + _first


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Makes the first signal set an event instead of what it did before; a second one does that."""
    stop_asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop_asked
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, frame: FrameType | None) -> None:
        global _first
        _first = number
        restore()
        stop_asked.set()

    _install(ask)
    try:
        yield stop_asked
    finally:
        restore()


def raise_on_signals(program: str) -> None:
    """Makes the first signal raise KeyboardInterrupt or Terminated, so that all is cleaned up.

    A second one ends the process at once; the program's name starts the line that says so.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        global _first
        if _first is not None:
            with contextlib.suppress(OSError):
                os.write(2, f"{program}: stopped at once\n".encode())
            os._exit(128 + number)
        _first = number
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated(128 + number)

    def raise_anew(dropped: "sys.UnraisableHookArgs") -> None:
        """Sends the signal again if it fell into a callback, whose exceptions Python drops."""
        global _first
        if _first is None or not issubclass(dropped.exc_type, KeyboardInterrupt | Terminated):
            sys.__unraisablehook__(dropped)
            return
        number, _first = _first, None
        threading.Timer(0.05, os.kill, (os.getpid(), number)).start()

    _install(stop)
    sys.unraisablehook = raise_anew


def _install(handler) -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as by nohup or a shell's &
            signal.signal(number, handler)
