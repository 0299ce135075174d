"""Ctrl-C and SIGTERM, while a command is imported and while it runs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from batcher.cli.output import echo

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


class ShutdownSignals:
    """Ctrl-C and SIGTERM in an event loop: the first ends a command, the second cancels it."""

    def __init__(self, message: str, on_first: Callable[[int], None]) -> None:
        """Handle signals for the current task, for as long as its event loop runs.

        Args:
            message: printed at the first signal, after the signal's name.
            on_first: called once, with the number of the first signal, to end the command.
        """
        import asyncio  # noqa: PLC0415  # 60 modules, imported before Ctrl-C is handled

        self._message = message
        self._on_first = on_first
        self._is_first = True
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._handle, number)

    def disable_cancel(self) -> None:
        """Ignore further signals: the rest of the task takes bounded time."""
        self._task = None

    def _handle(self, number: signal.Signals) -> None:
        if self._is_first:
            self._is_first = False
            echo(f"{number.name}: {self._message}")
            self._on_first(int(number))
        elif self._task is not None:
            self._task.cancel()


def _exit_now(number: int, _: FrameType | None) -> None:
    echo(STOPPED_MESSAGE)
    os._exit(SIGNAL_EXIT_BASE + number)
