"""Reads lines of files or standard input in blocks, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from batcher.cli.input import UTF8_BOM, decompress, not_json_reason, open_input
from batcher.encoding.text import LineSplitter
from batcher.errors import BatcherError, DamagedError

BLOCK_BYTES = 2 * 1024**2
"""Bytes per read of the (decompressed) input."""


BLOCK_LINES = 8_192
"""Maximum number of lines per block. As Python objects, short lines take 100 times their bytes."""


READ_AHEAD_BYTES = 2 * BLOCK_BYTES
"""Text that is read ahead, at most. A longer line is read ahead alone."""


SAMPLE_BYTES = 4096
"""Bytes of a text from which `count_lines` estimates the mean length of its lines."""


SHORT_LINE_BYTES = 64
"""Lines with a shorter mean are counted faster by `bytes.count`."""


KEPT_LINE_BYTES = 64 * 1024
"""Bytes that are kept of a line longer than the limit."""


class InputError(BatcherError):
    """An input cannot be read to its end. The lines before are unaffected."""


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Consecutive lines of one input."""

    name: str
    """The input's name, as passed to `LineReader`."""
    first_line: int
    """The number of the first line, from 1."""
    lines: int
    """The number of lines."""
    text: bytes
    """The lines, each with its newline."""
    oversized_line_bytes: int = 0
    """If the block is one line longer than the limit: its size. `text` is the start of the line."""


class LineReader:
    """Reads inputs one after another, a few blocks ahead of the iteration."""

    def __init__(
        self, inputs: Sequence[str], max_line_bytes: int, *, expect_json: bool = False
    ) -> None:
        """Prepare to read. Nothing is read before the iteration.

        Args:
            inputs: paths, or `-` for standard input, in the order of reading. Each is plain, gzip
                or zstd, by its content.
            max_line_bytes: longer lines are cut, so that no input can fill the memory.
            expect_json: whether the lines should be JSON. If so, a byte order mark is skipped, and
                an input in a format that cannot be JSON is rejected before its first line.
        """
        self.read_bytes = 0
        """Bytes read so far, before decompression."""
        self._inputs = inputs
        self._max_line_bytes = max_line_bytes
        self._expect_json = expect_json
        self._queue: asyncio.Queue[LineBlock | InputError | None] = asyncio.Queue()
        self._ahead_bytes = 0
        self._room_changed = threading.Condition()
        self._is_started = self._is_stopped = False

    def stop(self) -> None:
        """End the iteration, even while the thread waits for a slow input."""
        self._is_stopped = True
        self._queue.put_nowait(None)
        self._release_room(0)

    async def __aiter__(self) -> AsyncIterator[LineBlock]:
        """Yield the blocks in order.

        Raises:
            InputError: an input ends early, is damaged, or cannot be read. Iterate again to read
                the inputs after it.
        """
        loop = asyncio.get_running_loop()

        def enqueue(item: LineBlock | InputError | None) -> None:
            loop.call_soon_threadsafe(self._queue.put_nowait, item)

        if not self._is_started:
            self._is_started = True
            # A daemon thread, because a read from a terminal or a pipe cannot be interrupted
            threading.Thread(target=self._read_all, args=(enqueue,), daemon=True).start()
        while not self._is_stopped:
            item = await self._queue.get()
            if item is None or self._is_stopped:
                return
            if isinstance(item, InputError):
                raise item
            self._release_room(len(item.text))
            yield item

    def _wait_for_room(self, size_bytes: int) -> None:
        """Wait until `size_bytes` more may be read ahead. A single block always may."""
        with self._room_changed:
            self._room_changed.wait_for(
                lambda: (
                    self._is_stopped
                    or not self._ahead_bytes
                    or self._ahead_bytes + size_bytes <= READ_AHEAD_BYTES
                )
            )
            self._ahead_bytes += size_bytes

    def _release_room(self, size_bytes: int) -> None:
        """Subtract `size_bytes` from the text read ahead."""
        with self._room_changed:
            self._ahead_bytes -= size_bytes
            self._room_changed.notify()

    def _read_all(self, enqueue: Callable[[LineBlock | InputError | None], None]) -> None:
        """Read all inputs, in the thread, and enqueue blocks and errors, then None."""
        name = ""
        try:
            for name in self._inputs:
                try:
                    for block in self._read_input(name):
                        self._wait_for_room(len(block.text))
                        if self._is_stopped:
                            return
                        enqueue(block)
                except InputError as error:
                    enqueue(error)
            enqueue(None)
        except Exception as error:  # noqa: BLE001  # otherwise the iteration would wait for ever
            with suppress(RuntimeError):  # the event loop is closed: nothing iterates any more
                enqueue(InputError(f"{name}: {type(error).__name__}: {error}"))
                enqueue(None)

    def _read_input(self, name: str) -> Iterator[LineBlock]:
        """Yield the blocks of one input."""
        splitter = _BlockSplitter(name, self._max_line_bytes)
        try:
            with open_input(name) as raw, decompress(raw, self._count_read_bytes) as file:
                data = self._check_start(name, file.read(BLOCK_BYTES))
                yield from splitter.split(data)
                while data := file.read(BLOCK_BYTES):
                    yield from splitter.split(data)
        except (OSError, DamagedError, ValueError) as error:
            raise _unreadable_error(name, splitter.next_line, error) from error
        yield from splitter.finish()

    def _count_read_bytes(self, size_bytes: int) -> None:
        self.read_bytes += size_bytes

    def _check_start(self, name: str, data: bytes) -> bytes:
        """Check the format of an input by its start, and return the start without a mark."""
        if not self._expect_json:
            return data
        if reason := not_json_reason(data, name):
            raise InputError(reason)
        return data.removeprefix(UTF8_BOM)


class _BlockSplitter:
    """Splits the text of one input into blocks. Holds one incomplete line at most."""

    def __init__(self, name: str, max_line_bytes: int) -> None:
        self.next_line = 1
        """The number of the next line."""
        self._name = name
        self._max_line_bytes = max_line_bytes
        self._splitter = LineSplitter()
        self._oversized_start: bytes | None = None
        """The start of a line longer than the limit, while it is skipped."""

    def split(self, data: bytes) -> Iterator[LineBlock]:
        """Append text and yield the lines that are complete now."""
        text = self._splitter.split(data)
        if self._oversized_start is not None and not self._splitter.is_skipping:
            yield self._take_oversized_line(self._oversized_start)
        if text:
            yield from self._split_block(text, count_lines(text))
        if self._splitter.partial_line_bytes > self._max_line_bytes:
            self._oversized_start = self._splitter.skip_line(KEPT_LINE_BYTES)

    def finish(self) -> Iterator[LineBlock]:
        """Yield the last line if it has no newline."""
        if self._oversized_start is not None:
            yield self._take_oversized_line(self._oversized_start)
        elif last_line := self._splitter.take_partial_line():
            yield from self._split_block(last_line + b"\n", 1)

    def _split_block(self, text: bytes, lines: int) -> Iterator[LineBlock]:
        """Halve complete lines until no block has more than `BLOCK_LINES`."""
        if lines > BLOCK_LINES:
            half = len(text) // 2
            middle = text.rfind(b"\n", 0, half) + 1 or text.find(b"\n", half) + 1
            first = text[:middle]
            first_lines = count_lines(first)
            yield from self._split_block(first, first_lines)
            yield from self._split_block(text[middle:], lines - first_lines)
            return
        yield LineBlock(self._name, self.next_line, lines, text)
        self.next_line += lines

    def _take_oversized_line(self, start: bytes) -> LineBlock:
        block = LineBlock(
            self._name, self.next_line, 1, start + b"\n", self._splitter.skipped_bytes
        )
        self.next_line += 1
        self._oversized_start = None
        return block


def count_lines(text: bytes) -> int:
    """Count newlines.

    `bytes.count` takes three times as long as `bytes.replace` unless lines are short.
    """
    sample = text[:SAMPLE_BYTES]
    if sample.count(b"\n") * SHORT_LINE_BYTES > len(sample):
        return text.count(b"\n")
    return len(text) - len(text.replace(b"\n", b""))


def _unreadable_error(name: str, line: int, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return InputError(f"{name}: cannot be read beyond line {line}: {reason}")
