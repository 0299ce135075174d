"""Reader: lines out of files or standard input, in blocks, by a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from batcher.cli.input import UTF8_MARK, decoded, open_input, why_no_json
from batcher.errors import BatcherError

BLOCK_BYTES = 2 * 1024**2


BLOCK_LINES = 8_192
"""The most lines of a block: as objects, short ones take a hundred times the bytes they have."""


AHEAD_BYTES = 2 * BLOCK_BYTES
"""Text that is read ahead; a line that is longer is read ahead alone."""


SAMPLE_BYTES = 4096


SHORT_BYTES = 64
"""Lines that are shorter, in the mean, are counted faster byte by byte."""


KEPT_BYTES = 64 * 1024
"""What is kept of a line that is too long to be held."""


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
        self._is_started = self._is_stopped = False

    def stop(self) -> None:
        """End the iteration, even while a read is waiting for a slow producer."""
        self._is_stopped = True
        self._queue.put_nowait(None)
        self._went(0)

    async def __aiter__(self) -> AsyncIterator[Block]:
        """Give the blocks in order.

        Raises:
            InputError: an input ends early, is damaged, or cannot be read; iterate again for the
                inputs after it.
        """
        loop = asyncio.get_running_loop()

        def hand_over(item: Block | InputError | None) -> None:
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
                try:
                    for block in self._read(name):
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

    def _read(self, name: str) -> Iterator[Block]:
        """Cut one input into blocks that end with a newline."""
        cutter = _Cutter(name, self._max_line_bytes)
        try:
            with open_input(name) as raw, decoded(raw, self._count) as file:
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

    def _count(self, size_bytes: int) -> None:
        self.read_bytes += size_bytes

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


def _unreadable(name: str, line: int, error: Exception) -> InputError:
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return InputError(f"{name}: cannot be read beyond line {line}: {why}")
