"""Signals that end a process, while a command is imported and while it runs."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from batcher.cli.output import echo

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task

STOPPED_MESSAGE = "stopped before the end"


SIGNAL_EXIT_BASE = 128
"""The exit code after a signal is this plus the signal's number, as in a shell."""


RERAISE_DELAY_S = 0.01
"""Delay before a lost Ctrl-C is raised again. The callback that lost it takes less time."""


def can_handle_signals() -> bool:
    """Return whether this thread may set signal handlers. Only the main thread may."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def exit_on_interrupt() -> Iterator[None]:
    """Exit the process at once on Ctrl-C, for the time that modules are imported.

    Imports take up to a second, and a `KeyboardInterrupt` raised in them is sometimes lost in one
    of Python's own callbacks. Does nothing if Ctrl-C is ignored or already has a handler.
    """
    if (
        not can_handle_signals()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    signal.signal(signal.SIGINT, _exit_now)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def reraise_lost_interrupts() -> Iterator[None]:
    """Raise Ctrl-C again if Python drops it.

    An exception in a weak reference's callback or in a `__del__` does not propagate. Python would
    print a traceback, as for a bug, and go on.
    Source: https://docs.python.org/3/library/sys.html#sys.unraisablehook
    """
    if not can_handle_signals():
        yield
        return
    previous_hook = sys.unraisablehook

    def reraise_interrupt(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, RERAISE_DELAY_S)
        else:
            previous_hook(unraisable)

    previous_handler = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    sys.unraisablehook = reraise_interrupt
    try:
        yield
    finally:
        sys.unraisablehook = previous_hook
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous_handler)


CANCELLING_SIGNALS = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTERM})
"""Signals of which a second one drops what is not durable. People and supervisors send them.

A terminal that closes sends SIGHUP more than once.
"""


REPEAT_DELAY_S = 1.0
"""The same signal so soon again cancels nothing. timeout(1) sends SIGTERM twice at once."""


_OTHER_SIGNALS = frozenset(
    getattr(signal, name)
    for name in (
        # Cannot be handled
        "SIGKILL",
        "SIGSTOP",
        # Do not end a process
        "SIGCHLD",
        "SIGCONT",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGWINCH",
        "SIGINFO",
        # Errors of the program, after which it cannot go on
        "SIGABRT",
        "SIGBUS",
        "SIGEMT",
        "SIGFPE",
        "SIGILL",
        "SIGSEGV",
        "SIGSYS",
        "SIGTRAP",
    )
    if hasattr(signal, name)
)


class ShutdownSignals:
    """Signals that would end the process: the first ends a command, a later one may cancel it.

    Use it as `with ShutdownSignals(…) as signals`, around the event loop and the summary. Signals
    that the process ignores stay ignored: SIGHUP below nohup, SIGINT in a script's background jobs.
    """

    def __init__(self, message: str, on_first: Callable[[int], None]) -> None:
        """Prepare.

        Args:
            message: printed at the first signal, after the signal's name.
            on_first: called once, with the number of the first signal, to end the command. It is
                called in the event loop, after `attach`.
        """
        self._message = message
        self._on_first = on_first
        self._early: list[int] = []
        self._first: tuple[int, float] | None = None
        """Number and time of the first signal."""
        self._loop: AbstractEventLoop | None = None
        self._task: Task[object] | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if can_handle_signals():
            for number in ending_signals():
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def attach(self) -> None:
        """Let signals end and cancel the current task. Those received before end it now."""
        import asyncio  # noqa: PLC0415  # 60 modules, imported before Ctrl-C is handled

        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        for number in self._early:
            self._handle(number)

    def disable_cancel(self) -> None:
        """Ignore further signals: the rest of the command takes bounded time."""
        self._loop = self._task = None

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._loop is None:
            self._early.append(number)
        else:
            self._loop.call_soon_threadsafe(self._handle, number)

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


def ending_signals() -> list[int]:
    """Return the signals that would end this process and can be handled, ignored ones left out."""
    return [
        number
        for number in sorted(signal.valid_signals() - _OTHER_SIGNALS)
        if signal.getsignal(number) not in (signal.SIG_IGN, None)
    ]


def signal_name(number: int) -> str:
    """Return the name of a signal, such as `SIGTERM`."""
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _exit_now(number: int, _: FrameType | None) -> None:
    echo(STOPPED_MESSAGE)
    os._exit(SIGNAL_EXIT_BASE + number)
