"""Signals that end a process, while a command is imported and while it runs."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self, TypeVar

from batcher.cli.output import echo

_T = TypeVar("_T")


STOPPED_MESSAGE = "stopped before the end"


SIGNAL_EXIT_BASE = 128
"""The exit code after a signal is this plus the signal's number, as in a shell."""


_NO_STOP_SIGNALS = frozenset(
    getattr(signal, name, None)
    for name in (
        # Cannot be handled
        *("SIGKILL", "SIGSTOP"),
        # Do not end a process
        *("SIGCHLD", "SIGCONT", "SIGINFO", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGWINCH"),
        # Errors of the program, after which it cannot go on
        *("SIGABRT", "SIGBUS", "SIGEMT", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP"),
    )
)


CANCELLING_SIGNALS = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTERM})
"""Signals of which a second one drops what is not durable. People and supervisors send them.

A terminal that closes sends SIGHUP more than once.
"""


REPEAT_DELAY_S = 1.0
"""The same signal so soon again cancels nothing. timeout(1) sends SIGTERM twice at once."""


@contextmanager
def exit_on_interrupt() -> Iterator[None]:
    """Exit the process at once on Ctrl-C, for the time that modules are imported.

    Imports take up to a second, and a `KeyboardInterrupt` raised in them is sometimes lost in one
    of Python's own callbacks. Does nothing if Ctrl-C is ignored or already has a handler.
    """
    if (
        not _can_handle_signals()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    signal.signal(signal.SIGINT, _exit_now)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def run_in_loop(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine as `asyncio.run` does, and exit at once on Ctrl-C until the loop is made.

    A loop that is made by half prints a traceback when it is deleted.
    """
    import asyncio  # noqa: PLC0415  # 60 modules, imported before Ctrl-C is handled

    with exit_on_interrupt():
        runner = asyncio.Runner()
        runner.get_loop()
    with runner:
        return runner.run(work)


class ShutdownSignals:
    """Signals that would end the process: the first ends a command, a later one may cancel it.

    Use it in the task that runs the command, as `with ShutdownSignals(…) as signals`, around the
    summary too. Signals that the process ignores stay ignored: SIGHUP below nohup, SIGINT in a
    script's background jobs.
    """

    def __init__(self, message: str, on_first: Callable[[int], None]) -> None:
        """Prepare.

        Args:
            message: printed at the first signal, after the signal's name.
            on_first: called once, with the number of the first signal, to end the command.
        """
        self._message = message
        self._on_first = on_first
        self._first: tuple[int, float] | None = None
        """Number and time of the first signal."""

    def __enter__(self) -> Self:
        """Handle signals in the running loop.

        With `loop.add_signal_handler`, an end of input that arrives together with the signal would
        be handled first: Ctrl-C ends all processes of a pipeline.
        """
        import asyncio  # noqa: PLC0415  # 60 modules, imported before Ctrl-C is handled

        loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._handling = handle_stop_signals(
            lambda number, _: loop.call_soon_threadsafe(self._handle, number)
        )
        self._handling.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._handling.__exit__(None, None, None)

    def disable_cancel(self) -> None:
        """Ignore further signals: the rest of the command takes bounded time."""
        self._task = None

    def _handle(self, number: int) -> None:
        now_s = time.monotonic()
        if self._first is None:
            self._first = number, now_s
            echo(f"{signal_name(number)}: {self._message}")
            self._on_first(number)
            return
        first_number, first_s = self._first
        is_repeated = number != first_number or now_s - first_s >= REPEAT_DELAY_S
        if self._task is not None and number in CANCELLING_SIGNALS and is_repeated:
            self._task.cancel()


@contextmanager
def handle_stop_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Handle the signals that would end this process, ignored ones left out, for some time.

    Does nothing in a thread that may not handle any.
    """
    numbers = stop_signals() if _can_handle_signals() else []
    previous = {each: signal.signal(each, handler) for each in numbers}
    try:
        yield
    finally:
        for number, previous_handler in previous.items():
            signal.signal(number, previous_handler)


def stop_signals() -> list[int]:
    """Return all signals that would end this process and can be handled, ignored ones left out.

    People, terminals, supervisors and schedulers send many: whichever it is, what was read is not
    lost.
    """
    return [
        number
        for number in sorted(signal.valid_signals() - _NO_STOP_SIGNALS)
        if signal.getsignal(number) not in (signal.SIG_IGN, None)
    ]


def signal_name(number: int) -> str:
    """Return the name of a signal, such as `SIGTERM`."""
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _can_handle_signals() -> bool:
    """Return whether this thread may set signal handlers. Only the main thread may."""
    return threading.current_thread() is threading.main_thread()


def _exit_now(number: int, _: FrameType | None) -> None:
    echo(STOPPED_MESSAGE)
    os._exit(SIGNAL_EXIT_BASE + number)
