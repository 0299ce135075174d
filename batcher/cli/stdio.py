"""Streams: standard output and error, which may be closed, full, or read by nobody."""

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


class OutputError(OSError):
    """Standard output takes no more; nothing else that is written or sent raises this."""


def run_with_stdio(work: Callable[[], int]) -> int:
    """Do the work of a command; give its exit code, or that of an output which is not whole.

    Where nobody reads standard output any more, it is that of a program which SIGPIPE has killed,
    without a word: `| head` has what it wanted. What standard error does not take is dropped, for a
    message that nobody hears changes nothing of what was done.

    Raises:
        SystemExit: as `work` does, its output being whole.
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
        # The interpreter flushes once more at its end. Source: Python's documentation, SIGPIPE
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
        if error.errno == EPIPE:
            return SIGNAL_EXIT_BASE + SIGPIPE
        echo(f"standard output cannot be written: {error.strerror}")
        return OUTPUT_LOST


class _StdoutFile(io.FileIO):
    """Standard output; what it does not take is no error of any other file."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OutputError(error.errno, error.strerror) from None


class _LossyStderrFile(io.FileIO):
    """Standard error, which seems to take everything."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return memoryview(data).nbytes


def _make_text_stream(raw: io.FileIO, like: TextIO | None) -> io.TextIOWrapper:
    """Make a text stream, with the encoding of the one that the interpreter has made."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8" if like is None else like.encoding,
        errors="backslashreplace" if like is None else like.errors,
        line_buffering=raw.isatty() or raw.fileno() == STDERR,
    )


def _reopen_closed_streams() -> None:
    """Take the places of closed streams, or the first files that are opened would get them.

    Nothing can be written to the one of standard output, which tells whoever wants to.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # the lowest number that is free
