"""Reader: lines out of files or standard input, in blocks, by a thread of its own."""

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


BLOCK_LINES = 8_192
"""The most lines of a block: as objects, short ones take a hundred times the bytes they have."""


READ_AHEAD_BYTES = 2 * BLOCK_BYTES
"""Text that is read ahead; a line that is longer is read ahead alone."""


SAMPLE_BYTES = 4096


SHORT_LINE_BYTES = 64
"""Lines that are shorter, in the mean, are counted faster byte by byte."""


KEPT_LINE_BYTES = 64 * 1024
"""What is kept of a line that is too long to be held."""


class InputError(BatcherError):
    """An input cannot be read to its end; what was read before it is fine."""


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Consecutive lines of one input."""

    name: str
    """The input's name, as it was given."""
    first_line: int
    """The number of the first line, from 1."""
    lines: int
    text: bytes
    """The lines, each with its newline."""
    oversized_line_bytes: int = 0
    """Of one line that is too long to be held: its whole size; `text` is its start."""


class LineReader:
    """Reads inputs one after another, a few blocks ahead of who iterates over it."""

    def __init__(
        self, inputs: Sequence[str], max_line_bytes: int, *, expect_json: bool = False
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
        self._expect_json = expect_json
        self._queue: asyncio.Queue[LineBlock | InputError | None] = asyncio.Queue()
        self._ahead_bytes = 0
        self._room_changed = threading.Condition()
        self._is_started = self._is_stopped = False

    def stop(self) -> None:
        """End the iteration, even while a read is waiting for a slow producer."""
        self._is_stopped = True
        self._queue.put_nowait(None)
        self._release_room(0)

    async def __aiter__(self) -> AsyncIterator[LineBlock]:
        """Return the blocks in order.

        Raises:
            InputError: an input ends early, is damaged, or cannot be read; iterate again for the
                inputs after it.
        """
        loop = asyncio.get_running_loop()

        def hand_over(item: LineBlock | InputError | None) -> None:
            loop.call_soon_threadsafe(self._queue.put_nowait, item)

        if not self._is_started:
            self._is_started = True
            # A daemon, for a read from a terminal or a pipe cannot be interrupted
            threading.Thread(target=self._read_all, args=(hand_over,), daemon=True).start()
        while not self._is_stopped:
            item = await self._queue.get()
            if item is None or self._is_stopped:
                return
            if isinstance(item, InputError):
                raise item
            self._release_room(len(item.text))
            yield item

    def _wait_for_room(self, size_bytes: int) -> None:
        """Wait until so much more may be read ahead; one block always may."""
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
        """Note that so much is not ahead any more."""
        with self._room_changed:
            self._ahead_bytes -= size_bytes
            self._room_changed.notify()

    def _read_all(self, hand_over: Callable[[LineBlock | InputError | None], None]) -> None:
        name = ""
        try:
            for name in self._inputs:
                try:
                    for block in self._read_input(name):
                        self._wait_for_room(len(block.text))
                        if self._is_stopped:
                            return
                        hand_over(block)
                except InputError as error:
                    hand_over(error)
            hand_over(None)
        except Exception as error:  # noqa: BLE001  # whoever waits for the next block must hear
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                hand_over(InputError(f"{name}: {type(error).__name__}: {error}"))
                hand_over(None)

    def _read_input(self, name: str) -> Iterator[LineBlock]:
        """Cut one input into blocks that end with a newline."""
        cutter = _BlockSplitter(name, self._max_line_bytes)
        try:
            with open_input(name) as raw, decompress(raw, self._count_read_bytes) as file:
                data = self._check_start(name, file.read(BLOCK_BYTES))
                yield from cutter.split(data)
                while data := file.read(BLOCK_BYTES):
                    yield from cutter.split(data)
        except (OSError, DamagedError, ValueError) as error:
            raise _unreadable_error(name, cutter.next_line, error) from error
        yield from cutter.finish()

    def _count_read_bytes(self, size_bytes: int) -> None:
        self.read_bytes += size_bytes

    def _check_start(self, name: str, data: bytes) -> bytes:
        """Judge the first bytes of an input; give those of its text."""
        if not self._expect_json:
            return data
        if why := not_json_reason(data, name):
            raise InputError(why)
        return data.removeprefix(UTF8_BOM)


class _BlockSplitter:
    """Cuts the text of one input into blocks; holds no more than one line that is not whole."""

    def __init__(self, name: str, max_line_bytes: int) -> None:
        self.next_line = 1
        """The number of the next line."""
        self._name = name
        self._max_line_bytes = max_line_bytes
        self._splitter = LineSplitter()
        self._oversized_start: bytes | None = None
        """The start of a line that is too long to be held."""

    def split(self, data: bytes) -> Iterator[LineBlock]:
        """Append text and return the lines that are complete now."""
        text = self._splitter.split(data)
        if self._oversized_start is not None and not self._splitter.is_skipping:
            yield self._take_oversized_line(self._oversized_start)
        if text:
            yield from self._split_block(text, count_lines(text))
        if self._splitter.partial_line_bytes > self._max_line_bytes:
            self._oversized_start = self._splitter.skip_line(KEPT_LINE_BYTES)

    def finish(self) -> Iterator[LineBlock]:
        """Return the last line, if it has no newline."""
        if self._oversized_start is not None:
            yield self._take_oversized_line(self._oversized_start)
        elif last_line := self._splitter.take_partial_line():
            yield from self._split_block(last_line + b"\n", 1)

    def _split_block(self, text: bytes, lines: int) -> Iterator[LineBlock]:
        """Halve complete lines until no block has too many of them."""
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
    """Count newlines; `bytes.count` looks at byte by byte, which takes three times as long."""
    sample = text[:SAMPLE_BYTES]
    if sample.count(b"\n") * SHORT_LINE_BYTES > len(sample):
        return text.count(b"\n")
    return len(text) - len(text.replace(b"\n", b""))


def _unreadable_error(name: str, line: int, error: Exception) -> InputError:
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return InputError(f"{name}: cannot be read beyond line {line}: {why}")
