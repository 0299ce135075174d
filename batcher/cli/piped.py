"""Piped: what ends a command whose output somebody has stopped reading, or who pressed Ctrl-C."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from signal import SIGINT, SIGPIPE

SIGNALLED = 128


def piped(work: Callable[[], int]) -> int:
    """Do the work of a command that writes records; give its exit code.

    It is that of a program which the signal has killed, without a word where a pipe was closed:
    `| head` has what it wanted.
    """
    try:
        code = work()
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes once more at its end. Source: Python's documentation, SIGPIPE
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SIGNALLED + SIGPIPE
    except KeyboardInterrupt:
        print("batcher: stopped: there is more", file=sys.stderr)  # noqa: T201  # for people
        return SIGNALLED + SIGINT
    return code
