"""Reader: lines out of files or standard input, in blocks, by a thread of its own."""

from __future__ import annotations

import asyncio
import fcntl
import io
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from errno import EBADF
from pathlib import Path
from typing import IO, Any, cast

from batcher.cli.starts import UTF8_MARK, why_no_json
from batcher.errors import BatcherError

BLOCK_BYTES = 2 * 1024**2
BLOCK_LINES = 8_192
"""The most lines of a block: as objects, short ones take a hundred times the bytes they have."""
AHEAD_BYTES = 2 * BLOCK_BYTES
"""Text that is read ahead; a line that is longer is read ahead alone."""
STEP_BYTES = 32 * 1024
"""Text that is decompressed at once: no more than this is lost of what stands before damage."""
GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
SAMPLE_BYTES = 4096
SHORT_BYTES = 64
"""Lines that are shorter, in the mean, are counted faster byte by byte."""
KEPT_BYTES = 64 * 1024
"""What is kept of a line that is too long to be held."""
PIPE_BYTES = 1024**2
"""What a pipe is widened to where the system lets us: every read of 64 KiB would be a block."""
STDIN = "-"
STDIN_CLOSED = "standard input is closed"


class InputError(BatcherError):
    """An input cannot be read to its end; what was read before it is fine."""


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive lines of one input."""

    name: str
    """The input's name, as it was given."""
    first_line: int
    """The number of the first line, from 1."""
    lines: int
    text: bytes
    """The lines, each with its newline."""
    cut_bytes: int = 0
    """Of one line that is too long to be held: its whole size; `text` is its start."""


class Reader:
    """Reads inputs one after another, a few blocks ahead of who iterates over it."""

    def __init__(
        self, inputs: Sequence[str], max_line_bytes: int, *, is_json: bool = False
    ) -> None:
        """Read `inputs`: paths, or `-` for standard input; plain, gzip or zstd by their content.

        Args:
            inputs: in the order they are to be read.
            max_line_bytes: longer lines are cut, so that no input can fill the memory.
            is_json: whether lines are to be JSON: the mark that Windows puts before a text is left
                out, and an input that can be none is refused before its first line.
        """
        self.read_bytes = 0
        """Bytes read so far, as they are on the disk."""
        self._inputs = inputs
        self._max_line_bytes = max_line_bytes
        self._is_json = is_json
        self._queue: asyncio.Queue[Block | InputError | None] = asyncio.Queue()
        self._ahead_bytes = 0
        self._room = threading.Condition()
        self._is_stopped = False

    def stop(self) -> None:
        """End the iteration, even while a read is waiting for a slow producer."""
        self._is_stopped = True
        self._queue.put_nowait(None)
        self._went(0)

    async def __aiter__(self) -> AsyncIterator[Block]:
        """Give the blocks in order.

        Raises:
            InputError: an input ends early, is damaged, or cannot be read.
        """
        loop = asyncio.get_running_loop()

        def hand_over(item: Block | InputError | None) -> None:
            loop.call_soon_threadsafe(self._queue.put_nowait, item)

        # A daemon, for a read from a terminal or a pipe cannot be interrupted
        threading.Thread(target=self._read_all, args=(hand_over,), daemon=True).start()
        while not self._is_stopped:
            item = await self._queue.get()
            if item is None or self._is_stopped:
                return
            if isinstance(item, InputError):
                raise item
            self._went(len(item.text))
            yield item

    def _wait_for_room(self, size_bytes: int) -> None:
        """Wait until so much more may be read ahead; one block always may."""
        with self._room:
            self._room.wait_for(
                lambda: (
                    self._is_stopped
                    or not self._ahead_bytes
                    or self._ahead_bytes + size_bytes <= AHEAD_BYTES
                )
            )
            self._ahead_bytes += size_bytes

    def _went(self, size_bytes: int) -> None:
        """Note that so much is not ahead any more."""
        with self._room:
            self._ahead_bytes -= size_bytes
            self._room.notify()

    def _read_all(self, hand_over: Callable[[Block | InputError | None], None]) -> None:
        name = ""
        try:
            for name in self._inputs:
                for block in self._read(name):
                    self._wait_for_room(len(block.text))
                    if self._is_stopped:
                        return
                    hand_over(block)
            hand_over(None)
        except InputError as error:
            hand_over(error)
        except Exception as error:  # noqa: BLE001  # whoever waits for the next block must hear
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                hand_over(InputError(f"{name}: {type(error).__name__}: {error}"))

    def _read(self, name: str) -> Iterator[Block]:
        """Cut one input into blocks that end with a newline."""
        cutter = _Cutter(name, self._max_line_bytes)
        try:
            with open_input(name) as raw, _decoded(_Counted(raw, self)) as file:
                data = self._started(name, file.read(BLOCK_BYTES))
                yield from cutter.cut(data)
                while data := file.read(BLOCK_BYTES):
                    yield from cutter.cut(data)
        except (OSError, EOFError, ValueError) as error:
            raise _unreadable(name, cutter.line, error) from error
        except Exception as error:
            if type(error).__name__ not in {"ZstdError", "error", "IsalError"}:
                raise
            raise _unreadable(name, cutter.line, error) from error
        yield from cutter.end()

    def _started(self, name: str, data: bytes) -> bytes:
        """Judge the first bytes of an input; give those of its text."""
        if not self._is_json:
            return data
        if why := why_no_json(data, name):
            raise InputError(why)
        return data.removeprefix(UTF8_MARK)


class _Cutter:
    """Cuts the text of one input into blocks; holds no more than one line that is not whole."""

    def __init__(self, name: str, max_line_bytes: int) -> None:
        self.line = 1
        """The number of the next line."""
        self._name = name
        self._max_line_bytes = max_line_bytes
        self._rest = bytearray()
        self._cut_bytes = 0
        """Of a line that is too long to be held, as far as it was read."""

    def cut(self, data: bytes) -> Iterator[Block]:
        """Append text; give the lines that are complete now."""
        if self._cut_bytes:
            end = data.find(b"\n")
            self._cut_bytes += len(data) if end < 0 else end
            if end < 0:
                return
            yield self._too_long()
            data = data[end + 1 :]
        end = data.rfind(b"\n") + 1
        if end:
            text = b"".join((self._rest, memoryview(data)[:end]))  # the one copy there is
            self._rest = bytearray()
            yield from self._blocks(text, count_lines(text))
        self._rest += data[end:]
        if len(self._rest) > self._max_line_bytes:
            self._cut_bytes = len(self._rest)
            self._rest = self._rest[:KEPT_BYTES]

    def end(self) -> Iterator[Block]:
        """Give the last line, if it has no newline."""
        if self._cut_bytes:
            yield self._too_long()
        elif self._rest:
            yield from self._blocks(bytes(self._rest + b"\n"), 1)

    def _blocks(self, text: bytes, lines: int) -> Iterator[Block]:
        """Halve complete lines until no block has too many of them."""
        if lines > BLOCK_LINES:
            half = len(text) // 2
            middle = text.rfind(b"\n", 0, half) + 1 or text.find(b"\n", half) + 1
            first = text[:middle]
            first_lines = count_lines(first)
            yield from self._blocks(first, first_lines)
            yield from self._blocks(text[middle:], lines - first_lines)
            return
        yield Block(self._name, self.line, lines, text)
        self.line += lines

    def _too_long(self) -> Block:
        block = Block(self._name, self.line, 1, bytes(self._rest) + b"\n", self._cut_bytes)
        self.line += 1
        self._rest, self._cut_bytes = bytearray(), 0
        return block


def count_lines(text: bytes) -> int:
    """Count newlines; `bytes.count` looks at byte by byte, which takes three times as long."""
    sample = text[:SAMPLE_BYTES]
    if sample.count(b"\n") * SHORT_BYTES > len(sample):
        return text.count(b"\n")
    return len(text) - len(text.replace(b"\n", b""))


def open_input(name: str) -> IO[bytes]:
    """Open an input, unbuffered.

    Raises:
        OSError: it is not there, is a folder, or may not be read; standard input is closed.
    """
    file = _opened(name)
    if sys.platform == "linux":
        with suppress(OSError):  # no pipe, or more than this user may have
            fcntl.fcntl(file, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return file


def is_stdin_closed() -> bool:
    """Say whether there is no standard input, as after `<&-`."""
    return sys.stdin is None


def _opened(name: str) -> IO[bytes]:
    if name == STDIN:
        if is_stdin_closed():
            raise OSError(EBADF, STDIN_CLOSED)
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    return Path(name).open("rb", buffering=0)


class _Counted(io.RawIOBase):
    """A raw input whose first bytes can be looked at, and whose bytes are counted."""

    def __init__(self, raw: IO[bytes], reader: Reader) -> None:
        self._raw = raw
        self._reader = reader
        self._peeked = b""

    def peek(self, size: int) -> bytes:
        """Look at the first bytes."""
        while len(self._peeked) < size and (more := self._raw.read(size - len(self._peeked))):
            self._peeked += more
        return self._peeked

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  # a writable buffer
        """Read what is there into `buffer`; 0 at the end."""
        if self._peeked:
            data = self.read(len(buffer))
            buffer[: len(data)] = data
            return len(data)
        size_bytes: int = self._raw.readinto(buffer)  # type: ignore[attr-defined]  # unbuffered
        self._reader.read_bytes += size_bytes
        return size_bytes

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes, in one request to the system; none at the end."""
        data = self._peeked[:size] or self._raw.read(size)
        self._peeked = self._peeked[len(data) :]
        self._reader.read_bytes += len(data)
        return data


def _decoded(counted: _Counted) -> IO[bytes]:
    """Decompress by what the input starts with, whatever its name says."""
    magic = counted.peek(len(ZSTD_MAGIC))
    file = cast("IO[bytes]", counted)
    if magic.startswith(GZIP_MAGIC):
        from isal import igzip  # noqa: PLC0415  # only where it is needed

        open_gzip: Any = igzip.IGzipFile  # it has no types
        return cast("IO[bytes]", _UpToDamage(open_gzip(fileobj=file, mode="rb")))
    if magic == ZSTD_MAGIC:
        try:
            from compression import zstd  # noqa: PLC0415  # from Python 3.14 on
        except ImportError:
            from backports import zstd  # noqa: PLC0415

        return cast("IO[bytes]", _UpToDamage(zstd.ZstdFile(file, "rb")))
    return file


class _UpToDamage(io.RawIOBase):
    """A file that is decompressed; what stands before damage is given before it is raised."""

    def __init__(self, file: Any) -> None:  # noqa: ANN401  # isal's has no types
        self._file = file
        self._damage: Exception | None = None

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Give at most `size` bytes; none at the end."""
        if self._damage is not None:
            raise self._damage
        pieces: list[bytes] = []
        try:
            while size > 0 and (piece := self._file.read1(min(size, STEP_BYTES))):
                pieces.append(piece)
                size -= len(piece)
        except Exception as error:
            if not pieces:
                raise
            self._damage = error
        return b"".join(pieces)


def _unreadable(name: str, line: int, error: Exception) -> InputError:
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return InputError(f"{name}: cannot be read beyond line {line}: {why}")
