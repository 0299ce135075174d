"""Opens a file or standard input, reads what there is, and decompresses it by its first bytes."""

from __future__ import annotations

import fcntl
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from errno import EBADF
from itertools import chain
from stat import S_ISFIFO
from typing import IO, Protocol, Self

from batcher.encoding.decoder import LONG_WINDOW_LOG, Decoder, detect_compression
from batcher.errors import DamagedError

S3_SCHEME = "s3://"


STDIN = "-"


STDIN_CLOSED = "standard input is closed"


TEXT_BLOCK_BYTES = 2 * 1024**2
"""Bytes per read of an input, and about the most text that is decompressed at once."""


COMPRESSED_READ_BYTES = 512 * 1024
"""Compressed bytes per read."""


ZSTD_STEP_BYTES = 4 * 1024
"""Text that is decompressed per call. Damage within a zstd frame costs so much text at most."""


GZIP_STEP_BYTES = 64 * 1024
"""Text that is decompressed per call. Damage within a gzip member costs no text."""


PIPE_BUFFER_BYTES = 1024**2
"""Size of a pipe's buffer, if the system permits it. With its default, 64 KiB, blocks are small."""


MAGIC_BYTES = 4
"""Number of first bytes from which the compression is detected."""


STOP_POLL_MS = 100
"""How long a read waits for data before it looks whether it should stop."""


class ByteInput(AbstractContextManager["ByteInput"], Protocol):
    """An input that is read as its bytes come."""

    @property
    def is_seekable(self) -> bool:
        """Whether it can be read a second time."""

    @property
    def is_ended(self) -> bool:
        """Whether the end of the input was reached. False if it was stopped before."""

    def read(self, size: int) -> bytes:
        """Wait for data and return about `size` bytes at most; none at the end, or if stopped."""

    def rewind(self) -> None:
        """Read a seekable input from its start again. The bytes are not counted again."""


class RawInput:
    """A file or standard input, whose read can be stopped while it waits for more.

    Use it as `with RawInput(…) as raw`. After a stop, no byte is taken from a pipe any more.
    """

    def __init__(
        self, name: str, is_stopped: Callable[[], bool], on_read: Callable[[int], None]
    ) -> None:
        """Open an input.

        Args:
            name: a path, or `-` for standard input.
            is_stopped: returns whether to stop reading. Called before each read.
            on_read: called with the number of bytes after each read.

        Raises:
            OSError: it does not exist, is a folder, or may not be read, or standard input is
                closed.
        """
        self.is_ended = False
        """Whether the end of the input was reached. False if it was stopped before."""
        self._is_stopped = is_stopped
        self._on_read = on_read
        self._file = _open_unbuffered(name)
        if sys.platform == "linux":
            with suppress(OSError):  # not a pipe, or above this user's limit
                fcntl.fcntl(self._file, fcntl.F_SETPIPE_SZ, PIPE_BUFFER_BYTES)
        self.is_seekable = self._file.seekable()
        """Whether it is a file that can be read a second time."""
        self._first_byte = self._file.tell() if self.is_seekable else 0
        self._first_size = os.fstat(self._file.fileno()).st_size
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int) -> bytes:
        """Wait for data and return at most `size` bytes, or none: at the end, or if stopped.

        Raises:
            OSError: it cannot be read any further, or was truncated after it was opened.
        """
        while not self._is_stopped():
            if not self._poll.poll(STOP_POLL_MS):
                continue
            data = self._file.read(size)
            if data is None:  # another process has made a shared pipe non-blocking
                continue
            self._on_read(len(data))
            if not data and self.is_seekable:
                self._check_size()
            self.is_ended = not data and not self._is_stopped()
            return data
        return b""

    def _check_size(self) -> None:
        """Raise if bytes are gone that were there at first, as after a rotation by copying."""
        size_bytes = os.fstat(self._file.fileno()).st_size
        if size_bytes < min(self._file.tell(), self._first_size):
            msg = f"it was truncated to {size_bytes:,} bytes while it was read; find the rest"
            raise OSError(msg)

    def rewind(self) -> None:
        """Read a seekable input from its start again. The bytes are not counted again."""
        self._on_read = lambda _: None
        self._file.seek(self._first_byte)
        self.is_ended = False


def is_stdin_closed() -> bool:
    """Return whether the process has no standard input, as after `<&-`."""
    return sys.stdin is None


def is_stdin_pipe() -> bool:
    """Return whether a program writes to standard input."""
    try:
        return not is_stdin_closed() and S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode)
    except (OSError, ValueError):  # it was replaced by an object without a descriptor
        return False


def read_start(raw: ByteInput) -> tuple[bytes, str]:
    """Return the first bytes of an input, and the suffix of its compression, or nothing.

    Fewer than four bytes are enough if a line ends among them.
    """
    start = b""
    while len(start) < MAGIC_BYTES and b"\n" not in start:
        piece = raw.read(COMPRESSED_READ_BYTES)
        if not piece:
            break
        start += piece
    return start, detect_compression(start)


def read_texts(raw: ByteInput, start: bytes, suffix: str) -> Iterator[bytes]:
    """Yield the text of an input as it comes, in blocks of about `TEXT_BLOCK_BYTES` at most.

    Args:
        raw: read up to `start`.
        start: from `read_start`.
        suffix: as above.

    Raises:
        OSError: it cannot be read any further.
        DamagedError: it cannot be decompressed any further. All text before was yielded.
    """
    size = COMPRESSED_READ_BYTES if suffix else TEXT_BLOCK_BYTES
    pieces = chain([start] if start else [], iter(lambda: raw.read(size), b""))
    if not suffix:
        yield from pieces
        return
    text_bytes = 0
    try:
        for text in _decompress(raw, pieces, suffix, salvaged=not raw.is_seekable):
            text_bytes += len(text)
            yield text
    except DamagedError:
        if not raw.is_seekable or suffix != ".gz":
            raise
    else:
        return
    raw.rewind()
    for text in _decompress(raw, iter(lambda: raw.read(size), b""), suffix, salvaged=True):
        if new := text[text_bytes:]:
            yield new
        text_bytes -= len(text) - len(new)


def _decompress(
    raw: ByteInput, pieces: Iterator[bytes], suffix: str, *, salvaged: bool
) -> Iterator[bytes]:
    """Yield the text of compressed pieces; see `Decoder` for `salvaged`."""
    decoder = Decoder(
        suffix,
        max_output_bytes=GZIP_STEP_BYTES if suffix == ".gz" else ZSTD_STEP_BYTES,
        max_window_log=LONG_WINDOW_LOG,
        padded=True,
        salvaged=salvaged,
    )
    for piece in pieces:
        yield from _join_steps(decoder.feed(piece))
    if raw.is_ended:
        decoder.finish()


def _join_steps(steps: Iterator[bytes]) -> Iterator[bytes]:
    """Join all text up to `TEXT_BLOCK_BYTES`, to the end, or to the damage, which is raised."""
    joined: list[bytes] = []
    joined_bytes = 0
    try:
        for step in steps:
            joined.append(step)
            joined_bytes += len(step)
            if joined_bytes >= TEXT_BLOCK_BYTES:
                yield b"".join(joined)
                joined, joined_bytes = [], 0
    except DamagedError:
        if joined:
            yield b"".join(joined)
        raise
    if joined:
        yield b"".join(joined)


def _open_unbuffered(name: str) -> IO[bytes]:
    if name == STDIN:
        if is_stdin_closed():
            raise OSError(EBADF, STDIN_CLOSED)
        # A non-blocking read returns nothing while there is no data
        os.set_blocking(sys.stdin.fileno(), True)
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    # Opening a named pipe would wait for its writer, and could not be stopped
    flags = os.O_NONBLOCK if sys.platform == "linux" else 0
    file = open(  # noqa: SIM115  # the caller closes it
        name, "rb", buffering=0, opener=lambda path, mode: os.open(path, mode | flags)
    )
    os.set_blocking(file.fileno(), True)
    return file
