"""Opens a file or standard input, counts its bytes and decompresses it by its first bytes."""

from __future__ import annotations

import codecs
import fcntl
import io
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from errno import EBADF
from pathlib import Path
from typing import IO, cast

from batcher.encoding.decoder import LONG_WINDOW_LOG, Decoder, detect_compression

UTF8_BOM = codecs.BOM_UTF8
"""Byte order mark. Windows writes it before text, JSON does not allow it. Source: RFC 8259, 8.1."""


_OTHER_FORMATS = (
    (b"\xfd7zX", "compressed by xz", "xz -dc"),
    (b"BZh", "compressed by bzip2", "bzip2 -dc"),
    (codecs.BOM_UTF16_LE, "in UTF-16", "iconv -f UTF-16 -t UTF-8"),
    (codecs.BOM_UTF16_BE, "in UTF-16", "iconv -f UTF-16 -t UTF-8"),
)
"""First bytes of inputs that are not JSON, their format, and the command that converts them."""


STDIN = "-"


STDIN_CLOSED = "standard input is closed"


DECOMPRESSED_STEP_BYTES = 32 * 1024
"""Text that is decompressed per step, and so the most text before a damage that can be lost."""


PIPE_BUFFER_BYTES = 1024**2
"""Size of a pipe's buffer, if the system permits it. With its default, 64 KiB, blocks are small."""


COMPRESSED_READ_BYTES = 512 * 1024
"""Compressed bytes per read."""


MAGIC_BYTES = 4
"""Number of first bytes from which the compression is detected."""


def open_input(name: str) -> IO[bytes]:
    """Open an input without buffering.

    Args:
        name: a path, or `-` for standard input.

    Raises:
        OSError: it does not exist, is a folder, or may not be read, or standard input is closed.
    """
    file = _open_unbuffered(name)
    if sys.platform == "linux":
        with suppress(OSError):  # not a pipe, or above this user's limit
            fcntl.fcntl(file, fcntl.F_SETPIPE_SZ, PIPE_BUFFER_BYTES)
    return file


def is_stdin_closed() -> bool:
    """Return whether the process has no standard input, as after `<&-`."""
    return sys.stdin is None


def decompress(raw: IO[bytes], on_read: Callable[[int], None]) -> IO[bytes]:
    """Return an input that decompresses `raw` by its first bytes, whatever its name is.

    Args:
        raw: from `open_input`; the caller closes it.
        on_read: called with the number of bytes after each read of `raw`.
    """
    file = _CountingInput(raw, on_read)
    suffix = detect_compression(file.peek(MAGIC_BYTES))
    return cast("IO[bytes]", _DecompressedInput(file, suffix) if suffix else file)


def _open_unbuffered(name: str) -> IO[bytes]:
    if name == STDIN:
        if is_stdin_closed():
            raise OSError(EBADF, STDIN_CLOSED)
        # A non-blocking read returns nothing while there is no data, which looks like the end
        os.set_blocking(sys.stdin.fileno(), True)
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    return Path(name).open("rb", buffering=0)


class _CountingInput(io.RawIOBase):
    """A raw input that counts its bytes, and whose first bytes can be peeked at."""

    def __init__(self, raw: IO[bytes], on_read: Callable[[int], None]) -> None:
        self._raw = raw
        self._on_read = on_read
        self._buffered = b""

    def peek(self, size: int) -> bytes:
        """Return the first `size` bytes without consuming them, or fewer at the end."""
        while len(self._buffered) < size and (more := self._raw.read(size - len(self._buffered))):
            self._buffered += more
        return self._buffered

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes from one system call, or none at the end."""
        data = self._buffered[:size] or self._raw.read(size)
        self._buffered = self._buffered[len(data) :]
        self._on_read(len(data))
        return data


class _DecompressedInput(io.RawIOBase):
    """A decompressed input. Returns the text before damage, and raises at the next read."""

    def __init__(self, file: _CountingInput, suffix: str) -> None:
        self._file = file
        self._suffix = suffix
        self._decoder = Decoder(
            suffix,
            max_output_bytes=DECOMPRESSED_STEP_BYTES,
            max_window_log=LONG_WINDOW_LOG,
            padded=True,
        )
        self._blocks = self._decode()
        self._pending_error: Exception | None = None

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, or none at the end.

        Args:
            size: at least `DECOMPRESSED_STEP_BYTES`.
        """
        if self._pending_error is not None:
            raise self._pending_error
        pieces: list[bytes] = []
        try:
            while size >= DECOMPRESSED_STEP_BYTES and (piece := next(self._blocks, b"")):
                pieces.append(piece)
                size -= len(piece)
        except Exception as error:
            # Of gzip, only whole steps before the damage have ever been written
            if self._suffix == ".gz" and pieces and len(pieces[-1]) < DECOMPRESSED_STEP_BYTES:
                del pieces[-1]
            if not pieces:
                raise
            self._pending_error = error
        return b"".join(pieces)

    def _decode(self) -> Iterator[bytes]:
        while piece := self._file.read(COMPRESSED_READ_BYTES):
            yield from self._decoder.feed(piece)
        self._decoder.finish()


def not_json_reason(start: bytes, name: str) -> str | None:
    """Return why an input cannot be JSON lines and how to convert it, or None if it may be.

    Args:
        start: its first four bytes or more, decompressed, or all of it if it is shorter.
        name: of the input.
    """
    for magic, description, command in _OTHER_FORMATS:
        if start.startswith(magic):
            fix = f"{command} {shlex.quote(name)} | batcher write - …"
            return f"{name}: cannot be read: it is {description}; convert it first: {fix}"
    return None
