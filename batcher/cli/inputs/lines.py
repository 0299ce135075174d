"""Reads lines of files or standard input in blocks, in a thread."""

from __future__ import annotations

import asyncio
import codecs
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from batcher.cli.inputs.foreign_formats import START_BYTES, unreadable_reason
from batcher.cli.inputs.input import TEXT_BLOCK_BYTES, ByteInput, RawInput, read_start, read_texts
from batcher.encoding.decoder import TruncatedError
from batcher.encoding.text import LineSplitter
from batcher.errors import BatcherError, NotFoundError
from batcher.tools.formatting import format_count

UTF8_BOM = codecs.BOM_UTF8
"""Byte order mark. Windows writes it before text, JSON does not allow it. Source: RFC 8259, 8.1."""


BLOCK_LINES = 8_192
"""Maximum number of lines per block. As Python objects, short lines take 100 times their bytes."""


READ_AHEAD_BYTES = 2 * TEXT_BLOCK_BYTES
"""Text that is read ahead, at most. A longer line is read ahead alone."""


SAMPLE_BYTES = 4096
"""Bytes of a text from which `count_lines` estimates the mean length of its lines."""


SHORT_LINE_BYTES = 64
"""Lines with a shorter mean are counted faster by `bytes.count`."""


KEPT_LINE_BYTES = 64 * 1024
"""Bytes that are kept of a line longer than the limit."""


class InputError(BatcherError):
    """An input cannot be read to its end. The lines before are unaffected."""

    def __init__(self, message: str, *, is_truncated: bool = False) -> None:
        """Describe the problem.

        Args:
            message: names the input.
            is_truncated: whether all of the input was read, and something is missing at its end.
        """
        super().__init__(message)
        self.is_truncated = is_truncated
        self.place = -1, 0
        """Index of the input and number of the first line that could not be read."""
        self.is_before_start = False
        """Whether the input has no line to skip to: nothing of any input was yielded."""


@dataclass(slots=True, eq=False)
class Input:
    """One input, and what is known of it so far."""

    name: str
    """A path, `-` for standard input, or the URL of an object."""
    start: bytes = b""
    """The first bytes of its text, `START_BYTES` at most."""
    suffix: str = ""
    """The suffix of its compression, or nothing."""
    usable_lines: int = 0
    """Lines that became records. Counted by the caller."""
    bad_lines: int = 0
    """Lines that are no records. Counted by the caller."""


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Consecutive lines of one input."""

    input: Input
    first_line: int
    """The number of the first line, from 1."""
    lines: int
    """The number of lines."""
    text: bytes
    """The lines, each with its newline."""
    oversized_line_bytes: int = 0
    """If the block is one line longer than the limit: its size. `text` is the start of the line."""
    stored_bytes: int = 0
    """Bytes of input, before decompression, that end before this block and after the last one."""

    @property
    def end_line(self) -> int:
        """The number of the line after the last one."""
        return self.first_line + self.lines

    def skip_lines_before(self, line: int) -> LineBlock | None:
        """Return the block without the lines before `line`, or None if nothing is left of it."""
        if line <= self.first_line:
            return self
        if line >= self.end_line:
            return None
        text = self.text.split(b"\n", line - self.first_line)[-1]
        return LineBlock(self.input, line, self.end_line - line, text)


OpenInput = Callable[[int, Callable[[], bool], Callable[[int], None]], ByteInput]
"""Opens the input with this index; for the other arguments see `RawInput`."""


@dataclass(frozen=True, slots=True)
class _InputEnd:
    """The end of an input, or why it could not be read to its end."""

    line: int
    """The number of the line after the last one that was read."""
    error: InputError | None = None


class LineReader:
    """Reads inputs one after another, a few blocks ahead of the iteration."""

    def __init__(
        self,
        names: Sequence[str],
        max_line_bytes: int,
        *,
        expect_json: bool = False,
        skip_to: tuple[int, int] = (0, 1),
        open_input: OpenInput | None = None,
    ) -> None:
        """Prepare to read. Nothing is read before the iteration.

        Args:
            names: paths, or `-` for standard input, in the order of reading. Each is plain, gzip
                or zstd, by its content.
            max_line_bytes: longer lines are cut, so that no input can fill the memory.
            expect_json: whether the lines should be JSON. If so, a byte order mark is skipped, and
                an input in a format that cannot be JSON is rejected before its first line.
            skip_to: index of the input and number of the line from which on lines are yielded.
            open_input: opens inputs that are not files. Called in the thread. None: all are files.
        """
        self._names = names
        self.read_bytes = 0
        """Bytes read so far, before decompression."""
        self._before_piece_bytes = 0
        self._counted_bytes = 0
        self._open_input = open_input or self._open_file
        self._max_line_bytes = max_line_bytes
        self._expect_json = expect_json
        self._skip_to = self._unread_from = skip_to
        self._queue: asyncio.Queue[LineBlock | _InputEnd | None] = asyncio.Queue()
        self._ahead_bytes = 0
        self._room_changed = threading.Condition()
        self._is_started = self._is_stopped = self._is_closed = False

    @property
    def unread_from(self) -> tuple[int, int] | None:
        """Index of the input and line from which on no line was yielded, or None at the end."""
        return self._unread_from if self._unread_from[0] < len(self._names) else None

    def stop(self) -> None:
        """Stop reading. The iteration ends after the lines that were read before."""
        self._is_stopped = True

    def close(self) -> None:
        """End the iteration now, and drop what was read ahead of it."""
        self._is_stopped = self._is_closed = True
        self._queue.put_nowait(None)
        self._release_room(0)

    async def __aiter__(self) -> AsyncIterator[LineBlock]:
        """Yield the blocks in order. A block counts as unread until the next one is asked for.

        Raises:
            InputError: an input ends early, is damaged, or cannot be read. Iterate again to read
                the inputs after it.
        """
        loop = asyncio.get_running_loop()

        def enqueue(item: LineBlock | _InputEnd | None) -> None:
            loop.call_soon_threadsafe(self._queue.put_nowait, item)

        if not self._is_started:
            self._is_started = True
            # A daemon thread, because a read from a slow file system cannot be interrupted
            threading.Thread(target=self._read_all, args=(enqueue,), daemon=True).start()
        while not self._is_closed:
            item = await self._queue.get()
            if item is None or self._is_closed:
                return
            index, _ = self._unread_from
            if isinstance(item, LineBlock):
                self._release_room(len(item.text))
                yield item
                self._unread_from = index, item.end_line
                continue
            if item.error is None:
                self._unread_from = index + 1, 1
                continue
            item.error.place = index, item.line
            if item.error.is_before_start or (item.error.is_truncated and self._is_stopped):
                self.close()
            is_last = self._is_closed or index + 1 == len(self._names)
            self._unread_from = (index, item.line) if is_last else (index + 1, 1)
            raise item.error

    def _wait_for_room(self, size_bytes: int) -> None:
        """Wait until `size_bytes` more may be read ahead. A single block always may."""
        with self._room_changed:
            self._room_changed.wait_for(
                lambda: (
                    self._is_closed
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

    def _read_all(self, enqueue: Callable[[LineBlock | _InputEnd | None], None]) -> None:
        """Read all inputs, in the thread, and enqueue blocks and ends, then None."""
        first_index, first_line = self._skip_to
        with suppress(RuntimeError):  # the event loop is closed: nothing iterates any more
            for index in range(first_index, len(self._names)):
                each = Input(self._names[index])
                splitter = _BlockSplitter(each, self._max_line_bytes)
                error: InputError | None = None
                is_ended = False
                try:
                    for block in self._read_input(index, splitter):
                        rest = block.skip_lines_before(first_line)
                        if rest is not None:
                            self._wait_for_room(len(rest.text))
                            enqueue(self._count_stored_bytes(rest))
                    is_ended = splitter.is_finished
                    if is_ended and splitter.next_line < first_line:
                        error = _too_short_error(splitter, first_line)
                except InputError as unreadable:
                    error = unreadable
                except Exception as bug:  # noqa: BLE001  # the iteration would wait for ever
                    error = InputError(f"{each.name}: {type(bug).__name__}: {bug}")
                if error is None and not is_ended:  # stopped
                    break
                if error is not None and splitter.next_line < first_line:
                    # Inputs after it would be written now, and again by the corrected command
                    error.is_before_start = True
                    enqueue(_InputEnd(first_line, error))
                    break
                enqueue(_InputEnd(max(splitter.next_line, first_line), error))
                first_line = 1
            enqueue(None)

    def _open_file(
        self, index: int, is_stopped: Callable[[], bool], on_read: Callable[[int], None]
    ) -> ByteInput:
        return RawInput(self._names[index], is_stopped, on_read)

    def _read_input(self, index: int, splitter: _BlockSplitter) -> Iterator[LineBlock]:
        """Yield the blocks of one input, to its end or until reading is stopped."""
        source = splitter.input
        try:
            with self._open_input(index, lambda: self._is_stopped, self._count_read_bytes) as raw:
                start, source.suffix = read_start(raw)
                texts = read_texts(raw, start, source.suffix)
                for text in self._check_start(source, texts):
                    yield from splitter.split(text)
                is_ended = raw.is_ended
        except InputError:
            raise
        except (OSError, BatcherError, ValueError) as error:
            raise _unreadable_error(splitter, error) from error
        if is_ended:
            yield from splitter.finish()

    def _count_read_bytes(self, size_bytes: int) -> None:
        self._before_piece_bytes = self.read_bytes
        self.read_bytes += size_bytes

    def _count_stored_bytes(self, block: LineBlock) -> LineBlock:
        """Return a block with the bytes of input that were not counted before.

        The piece that was read last is not counted yet: there may be more text in it.
        """
        stored_bytes = self._before_piece_bytes - self._counted_bytes
        self._counted_bytes += stored_bytes
        return replace(block, stored_bytes=stored_bytes) if stored_bytes else block

    def _check_start(self, source: Input, texts: Iterator[bytes]) -> Iterator[bytes]:
        """Check the format of an input by its start, and yield its texts without a mark.

        Raises:
            InputError: the input cannot be lines of JSON.
        """
        start = b""
        for text in texts:
            start += text
            if len(start) >= START_BYTES or b"\n" in start:
                break
        source.start = start[:START_BYTES]
        if self._expect_json:
            if reason := unreadable_reason(source.name, source.start, source.suffix):
                raise InputError(reason)
            start = start.removeprefix(UTF8_BOM)
        if start:
            yield start
        for text in texts:
            if len(source.start) < START_BYTES:
                source.start += text[: START_BYTES - len(source.start)]
            yield text


class _BlockSplitter:
    """Splits the text of one input into blocks. Holds one incomplete line at most."""

    def __init__(self, source: Input, max_line_bytes: int) -> None:
        self.input = source
        self.next_line = 1
        """The number of the next line."""
        self.is_finished = False
        """Whether the input was read to its end."""
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
        self.is_finished = True
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
        yield LineBlock(self.input, self.next_line, lines, text)
        self.next_line += lines

    def _take_oversized_line(self, start: bytes) -> LineBlock:
        block = LineBlock(
            self.input, self.next_line, 1, start + b"\n", self._splitter.skipped_bytes
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


def _unreadable_error(splitter: _BlockSplitter, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, NotFoundError):
        reason += "; correct the key, or end it with a slash for all objects below it"
    beyond = f" beyond line {splitter.next_line}" if splitter.next_line > 1 else ""
    return InputError(
        f"{splitter.input.name}: cannot be read{beyond}: {reason}",
        is_truncated=isinstance(error, TruncatedError),
    )


def _too_short_error(splitter: _BlockSplitter, line: int) -> InputError:
    return InputError(
        f"{splitter.input.name}: has no line {line} to skip to; "
        f"it has {format_count(splitter.next_line - 1, 'line')}"
    )
