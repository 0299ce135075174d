"""Interrupts: what Ctrl-C and SIGTERM do to a command, before it has begun and while it works."""

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
"""A signal's exit code, less its number."""


RERAISE_DELAY_S = 0.01
"""Until a dropped Ctrl-C comes again: a callback takes less."""


def can_handle_signals() -> bool:
    """Return whether this thread may choose what signals do: the main one alone may."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def exit_on_interrupt() -> Iterator[None]:
    """Let Ctrl-C end the program without a detour while modules are imported.

    That takes up to a second, and what is raised meanwhile is lost, now and then, in callbacks of
    Python's own. Where Ctrl-C is ignored or has an answer already, nothing is changed.
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
    """Let Ctrl-C come again where Python drops it, and prints a traceback, as of a bug.

    What is raised in a weak reference's callback or in a `__del__` goes no further.
    Source: https://docs.python.org/3/library/sys.html#sys.unraisablehook
    """
    if not can_handle_signals():
        yield
        return
    told = sys.unraisablehook

    def hear(dropped: sys.UnraisableHookArgs) -> None:
        if isinstance(dropped.exc_value, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, RERAISE_DELAY_S)
        else:
            told(dropped)

    before = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    sys.unraisablehook = hear
    try:
        yield
    finally:
        sys.unraisablehook = told
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class ShutdownSignals:
    """Ctrl-C and SIGTERM in an event loop: the first lets a command end, the second cancels it."""

    def __init__(self, message: str, on_first: Callable[[int], None]) -> None:
        """Receive signals from now on, as long as the loop is there, for the task that calls this.

        Args:
            told: said at the first signal, after its name.
            end: lets the command come to its end; called once, with the signal's number.
        """
        import asyncio  # noqa: PLC0415  # 60 modules, while Ctrl-C has no answer yet

        self._message = message
        self._on_first = on_first
        self._is_first = True
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._handle, number)

    def disable_cancel(self) -> None:
        """Cancel the task no more: what it still does has its end."""
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
