"""Interrupts: Ctrl-C before a command has begun anything."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from batcher.cli.said import say

STOPPED = "stopped before the end"
SIGNALLED = 128


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Let Ctrl-C end the program without a detour while modules are imported.

    That takes up to a second, and what is raised meanwhile is lost, now and then, in callbacks of
    Python's own. Where Ctrl-C is ignored or has an answer already, nothing is changed.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, _: FrameType | None) -> None:
    say(STOPPED)
    os._exit(SIGNALLED + number)
