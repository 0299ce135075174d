"""Standard output and standard error that may be closed, full, or a pipe without a reader."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from errno import EPIPE
from signal import SIGPIPE

from batcher.cli.output import STDERR, STDOUT, discard, echo
from batcher.cli.signals import SIGNAL_EXIT_BASE

OUTPUT_LOST = 1
"""Exit code: standard output is incomplete."""


def run_with_stdio(work: Callable[[], int]) -> int:
    """Run a command and return its exit code, or another one if its output is incomplete.

    If the reader of standard output has closed the pipe, as `| head` does, the command ends
    silently with 141, the exit code of a program that SIGPIPE has killed. Other errors of standard
    output are reported and give `OUTPUT_LOST`.
    """
    _reopen_closed_streams()
    try:
        try:
            return work()
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:  # of another file: a bug
            raise
        # The interpreter flushes standard output again when it exits, which would fail again.
        # Source: https://docs.python.org/3/library/signal.html#note-on-sigpipe
        discard(STDOUT)
        if error.errno == EPIPE:
            return SIGNAL_EXIT_BASE + SIGPIPE
        echo(f"standard output: cannot be written: {error.strerror}; the output is incomplete")
        return OUTPUT_LOST


def _reopen_closed_streams() -> None:
    """Open /dev/null for each standard stream that is closed.

    Otherwise the next file that is opened gets the descriptor of the closed stream. Standard output
    is opened read-only, so that a command that writes to it fails.
    """
    for descriptor, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest free descriptor, which is this one
    if sys.stdout is None:
        sys.stdout = open(STDOUT, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # for good
    if sys.stderr is None:
        sys.stderr = open(STDERR, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # as above
