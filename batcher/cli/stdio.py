"""Standard output and standard error that may be closed, full, or a pipe without a reader."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from errno import EPIPE
from signal import SIGPIPE
from typing import TYPE_CHECKING, TextIO

from batcher.cli.output import echo
from batcher.cli.signals import SIGNAL_EXIT_BASE

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDOUT, STDERR = 1, 2


OUTPUT_LOST = 1
"""Exit code: standard output is incomplete."""


class OutputError(OSError):
    """Writing to standard output failed. Writing to other files and sockets never raises this."""


def run_with_stdio(work: Callable[[], int]) -> int:
    """Run a command and return its exit code, or another one if its output is incomplete.

    If the reader of standard output has closed the pipe, as `| head` does, the command ends
    silently with 141, the exit code of a program that SIGPIPE has killed. Other errors of standard
    output are reported and give `OUTPUT_LOST`. Errors of standard error are ignored: a lost message
    does not change what the command did.

    Raises:
        SystemExit: `work` raised it, and its output is complete.
    """
    _reopen_closed_streams()
    sys.stderr = _make_text_stream(_LossyStderrFile(STDERR, "w", closefd=False), sys.stderr)
    sys.stdout = _make_text_stream(_StdoutFile(STDOUT, "w", closefd=False), sys.stdout)
    try:
        try:
            return work()
        finally:
            sys.stderr.flush()
            sys.stdout.flush()
    except OutputError as error:
        # The interpreter flushes standard output again when it exits, which would fail again.
        # Source: https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
        if error.errno == EPIPE:
            return SIGNAL_EXIT_BASE + SIGPIPE
        echo(f"standard output: cannot be written: {error.strerror}; the output is incomplete")
        return OUTPUT_LOST


class _StdoutFile(io.FileIO):
    """Standard output. Its errors are `OutputError`, to tell them from errors of other files."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OutputError(error.errno, error.strerror) from None


class _LossyStderrFile(io.FileIO):
    """Standard error. Data that cannot be written is dropped and counts as written."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return memoryview(data).nbytes


def _make_text_stream(raw: io.FileIO, like: TextIO | None) -> io.TextIOWrapper:
    """Create a text stream with the encoding of `like`, the interpreter's own stream."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8" if like is None else like.encoding,
        errors="backslashreplace" if like is None else like.errors,
        line_buffering=raw.isatty() or raw.fileno() == STDERR,
    )


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
