"""Reader: lines out of files or standard input, in blocks, by a thread of its own."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from batcher.errors import BatcherError

BLOCK_BYTES = 1024**2
BLOCKS_AHEAD = 4
GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
KEPT_BYTES = 64 * 1024
"""What is kept of a line that is too long to be held."""
STDIN = "-"


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

    def __init__(self, inputs: Sequence[str], max_line_bytes: int) -> None:
        """Read `inputs`: paths, or `-` for standard input; plain, gzip or zstd by their content.

        Args:
            inputs: in the order they are to be read.
            max_line_bytes: longer lines are cut, so that no input can fill the memory.
        """
        self.read_bytes = 0
        """Bytes read so far, as they are on the disk."""
        self._inputs = inputs
        self._max_line_bytes = max_line_bytes
        self._queue: asyncio.Queue[Block | InputError | None] = asyncio.Queue()
        self._ahead = threading.Semaphore(BLOCKS_AHEAD)
        self._is_stopped = False

    def stop(self) -> None:
        """End the iteration, even while a read is waiting for a slow producer."""
        self._is_stopped = True
        self._queue.put_nowait(None)

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
            self._ahead.release()
            yield item

    def _read_all(self, hand_over: Callable[[Block | InputError | None], None]) -> None:
        name = ""
        try:
            for name in self._inputs:
                for block in self._read(name):
                    self._ahead.acquire()
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
        line, rest, after = 1, b"", b""
        try:
            with open_input(name) as raw, _decoded(_Counted(raw, self)) as file:
                while data := after or file.read(BLOCK_BYTES):
                    after = b""
                    end = data.rfind(b"\n") + 1
                    if not end:
                        rest += data
                        if len(rest) > self._max_line_bytes:
                            cut, after = _skip_line(name, line, rest, file)
                            rest = b""
                            yield cut
                            line += 1
                        continue
                    text = rest + data[:end] if rest else data[:end]
                    rest = data[end:]
                    lines = text.count(b"\n")
                    yield Block(name, line, lines, text)
                    line += lines
        except (OSError, EOFError, ValueError) as error:
            raise _unreadable(name, line, error) from error
        except Exception as error:
            if type(error).__name__ not in {"ZstdError", "error", "IsalError"}:
                raise
            raise _unreadable(name, line, error) from error
        if rest:
            yield Block(name, line, 1, rest + b"\n")


def open_input(name: str) -> IO[bytes]:
    """Open an input, unbuffered.

    Raises:
        OSError: it is not there, is a folder, or may not be read.
    """
    if name == STDIN:
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
        data = self._peeked[: len(buffer)] or self._raw.read(len(buffer))
        self._peeked = self._peeked[len(data) :]
        buffer[: len(data)] = data
        self._reader.read_bytes += len(data)
        return len(data)


def _decoded(counted: _Counted) -> IO[bytes]:
    """Decompress by what the input starts with, whatever its name says."""
    magic = counted.peek(len(ZSTD_MAGIC))
    file = cast("IO[bytes]", counted)
    if magic.startswith(GZIP_MAGIC):
        from isal import igzip  # noqa: PLC0415  # only where it is needed

        open_gzip: Any = igzip.IGzipFile  # it has no types
        return cast("IO[bytes]", open_gzip(fileobj=file, mode="rb"))
    if magic == ZSTD_MAGIC:
        try:
            from compression import zstd  # noqa: PLC0415  # from Python 3.14 on
        except ImportError:
            from backports import zstd  # noqa: PLC0415

        return cast("IO[bytes]", zstd.ZstdFile(file, "rb"))
    return file


def _skip_line(name: str, number: int, start: bytes, file: IO[bytes]) -> tuple[Block, bytes]:
    """Read to the end of a line that is too long; give its start, and what follows it."""
    size_bytes = len(start)
    rest = b""
    while data := file.read(BLOCK_BYTES):
        end = data.find(b"\n")
        if end >= 0:
            size_bytes += end
            rest = data[end + 1 :]
            break
        size_bytes += len(data)
    return Block(name, number, 1, start[:KEPT_BYTES] + b"\n", size_bytes), rest


def _unreadable(name: str, line: int, error: Exception) -> InputError:
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return InputError(f"{name}: cannot be read beyond line {line}: {why}")
