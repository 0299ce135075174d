"""Input: a file or standard input, opened, counted, and decompressed by what it starts with."""

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
from typing import IO, Any, cast

from batcher.encoding.decoder import LONG_WINDOW_LOG, Decoder, detect_compression

UTF8_BOM = codecs.BOM_UTF8
"""What Windows puts before a text; JSON has no place for it. Source: RFC 8259, 8.1."""


_OTHER_FORMATS = (
    (b"\xfd7zX", "compressed by xz", "xz -dc"),
    (b"BZh", "compressed by bzip2", "bzip2 -dc"),
    (codecs.BOM_UTF16_LE, "in UTF-16", "iconv -f UTF-16 -t UTF-8"),
    (codecs.BOM_UTF16_BE, "in UTF-16", "iconv -f UTF-16 -t UTF-8"),
)
"""What no JSON starts with, what that is, and what makes JSON of it."""


STDIN = "-"


STDIN_CLOSED = "standard input is closed"


DECOMPRESSED_STEP_BYTES = 32 * 1024
"""Text that is decompressed at once: no more than this is lost of what stands before damage."""


PIPE_BUFFER_BYTES = 1024**2
"""What a pipe is widened to where the system lets us: every read of 64 KiB would be a block."""


COMPRESSED_READ_BYTES = 512 * 1024
"""Compressed bytes per read."""


MAGIC_BYTES = 4
"""Bytes that tell the compression."""


def open_input(name: str) -> IO[bytes]:
    """Open an input, unbuffered.

    Raises:
        OSError: it is not there, is a folder, or may not be read; standard input is closed.
    """
    file = _open_unbuffered(name)
    if sys.platform == "linux":
        with suppress(OSError):  # no pipe, or more than this user may have
            fcntl.fcntl(file, fcntl.F_SETPIPE_SZ, PIPE_BUFFER_BYTES)
    return file


def is_stdin_closed() -> bool:
    """Return whether there is no standard input, as after `<&-`."""
    return sys.stdin is None


def decompress(raw: IO[bytes], on_read: Callable[[int], None]) -> IO[bytes]:
    """Decompress by what the input starts with, whatever its name says.

    Args:
        raw: as `open_input` gives it; whoever opened it closes it.
        count: is told how many bytes are read of it, each time.
    """
    file = _CountingInput(raw, on_read)
    suffix = detect_compression(file.peek(MAGIC_BYTES))
    return cast("IO[bytes]", _DecompressedInput(file, suffix) if suffix else file)


def _open_unbuffered(name: str) -> IO[bytes]:
    if name == STDIN:
        if is_stdin_closed():
            raise OSError(EBADF, STDIN_CLOSED)
        os.set_blocking(sys.stdin.fileno(), True)  # or what has not come yet looks like an end
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    return Path(name).open("rb", buffering=0)


class _CountingInput(io.RawIOBase):
    """A raw input whose first bytes can be looked at, and whose bytes are counted."""

    def __init__(self, raw: IO[bytes], on_read: Callable[[int], None]) -> None:
        self._raw = raw
        self._on_read = on_read
        self._buffered = b""

    def peek(self, size: int) -> bytes:
        """Look at the first bytes."""
        while len(self._buffered) < size and (more := self._raw.read(size - len(self._buffered))):
            self._buffered += more
        return self._buffered

    def readable(self) -> bool:
        """Return that this can be read."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  # a writable buffer
        """Read what is there into `buffer`; 0 at the end."""
        if self._buffered:
            data = self.read(len(buffer))
            buffer[: len(data)] = data
            return len(data)
        size_bytes: int = self._raw.readinto(buffer)  # type: ignore[attr-defined]  # unbuffered
        self._on_read(size_bytes)
        return size_bytes

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes, in one request to the system; none at the end."""
        data = self._buffered[:size] or self._raw.read(size)
        self._buffered = self._buffered[len(data) :]
        self._on_read(len(data))
        return data


class _DecompressedInput(io.RawIOBase):
    """A file that is decompressed; what stands before damage is given before it is raised."""

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
        """Return that this can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, which must be one step or more; none at the end."""
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
    """Return what an input is that is no JSON line by line, and what to do; None: it may be JSON.

    Args:
        start: its first four bytes, decompressed, or all if it has fewer.
        name: the input's.
    """
    for magic, what, command in _OTHER_FORMATS:
        if start.startswith(magic):
            do = f"{command} {shlex.quote(name)} | batcher write - …"
            return f"{name}: cannot be read, for it is {what}: convert it first, as in {do}"
    return None
