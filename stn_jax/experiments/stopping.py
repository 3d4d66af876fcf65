"""What Ctrl-C (SIGINT) and SIGTERM do to a process."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_first: int | None = None  # the first signal that asked this process to stop
_final_message = threading.Lock()


class Terminated(SystemExit):
    """Raised by SIGTERM, as KeyboardInterrupt is by SIGINT."""


def exit_code() -> int:
    """Returns the exit code of a run that a signal has stopped, which is that of shells.

    Without a signal to this process, it was another process of the run that got one: SIGTERM.
    """
    return 128 + (_first or signal.SIGTERM)


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

    handle_signals(ask)
    try:
        yield stop_asked
    finally:
        restore()


def raise_on_signals(program: str) -> None:
    """Makes the first signal raise KeyboardInterrupt or Terminated, so that all is cleaned up.

    A second one ends the process at once, even while the first is still waiting for a compilation,
    or for the end of `stop_on_signals`. The program's name starts the line that says so.
    """
    global _final_message
    _final_message = threading.Lock()
    received, allowed = 0, 1
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def stop(number: int, frame: FrameType | None) -> None:
        global _first
        if _first is None:
            _first = number
            raise KeyboardInterrupt if number == signal.SIGINT else Terminated(128 + number)

    def end_at_once() -> None:
        nonlocal received
        while number := os.read(reader, 1)[0]:
            received += number in _SIGNALS
            if received > allowed:
                with contextlib.suppress(OSError):
                    if _final_message.acquire(blocking=False):
                        os.write(2, f"{program}: stopped at once\n".encode())
                os._exit(128 + number)

    def raise_anew(dropped: "sys.UnraisableHookArgs") -> None:
        """Sends the signal again if it fell into a callback, whose exceptions Python drops.

        Others are not printed: a storage library that fails drops dozens.
        """
        global _first
        nonlocal allowed
        if _first is not None and issubclass(dropped.exc_type, KeyboardInterrupt | Terminated):
            number, _first, allowed = _first, None, allowed + 1
            threading.Timer(0.05, os.kill, (os.getpid(), number)).start()

    def forget() -> None:
        signal.set_wakeup_fd(-1)
        handle_signals(signal.SIG_DFL)

    handle_signals(stop)
    sys.unraisablehook = raise_anew
    # Python's handlers only run between two lines of Python, this thread runs at any time.
    threading.Thread(target=end_at_once, daemon=True).start()
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forget)


def claim_final_message() -> None:
    """Lets this thread say why the process ends; does not return if a second signal ends it."""
    _final_message.acquire()


def handle_signals(handler: Any) -> None:
    """Sets what SIGINT and SIGTERM do, unless they are ignored, as by nohup or a shell's `&`."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
