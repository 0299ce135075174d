"""Stream: an object's text, block by block. Reopens the object after an error, without repeats.

This is a stream of bytes. The streams of Kinesis and DynamoDB are in `batcher.sources`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from io import BytesIO
from itertools import takewhile
from types import TracebackType
from typing import TYPE_CHECKING, Self

from batcher.encoding.decoder import Decoder
from batcher.encoding.text import LineSplitter, split_complete_lines
from batcher.errors import DamagedError, RetryableError
from batcher.stores.retrying import Backoff

if TYPE_CHECKING:
    from batcher.stores.base import ObjectBody, ObjectInfo, ObjectReader


class ResumableBody:
    """The body of one object while it is read. Use it as `async with ResumableBody(…) as body`."""

    def __init__(self, reader: ObjectReader, key: str, reopen_policy: ReopenPolicy) -> None:
        """Read the object at `key`, whose suffix selects the decoder."""
        self._reader = reader
        self._key = key
        self._reopen_policy = reopen_policy
        self._exit_stack = AsyncExitStack()
        self._opened: ObjectBody
        self._failures = 0

    @property
    def info(self) -> ObjectInfo:
        """Size, ETag and metadata of the object."""
        return self._opened.info

    async def __aenter__(self) -> Self:
        """Open the object.

        Raises:
            NotFoundError: there is no such object.
            RetryableError: every attempt failed. Try again later.
            RejectedError: the store refuses the request. The message says what to do.
        """
        while True:
            try:
                await self._open()
            except RetryableError as error:
                await self._wait_before_reopening(error)
            else:
                return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exit_stack.aclose()

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """Yield the text in blocks of at most 1 MiB.

        Raises:
            DamagedError: the body cannot be decoded to its end.
            RetryableError: every attempt failed, or the object was replaced while it was read.
        """
        yielded_bytes = 0
        while True:
            skip_bytes = yielded_bytes
            try:
                async with aclosing(decode_body(self._opened.pieces, self._key)) as blocks:
                    async for block in blocks:
                        unread = block[skip_bytes:]
                        skip_bytes -= len(block) - len(unread)
                        if unread:
                            yielded_bytes += len(unread)
                            self._failures = 0
                            yield unread
            except RetryableError as error:
                failure = error
            else:
                return
            await self._reopen(failure)

    async def _open(self) -> None:
        self._opened = await self._exit_stack.enter_async_context(
            self._reader.open_object(self._key)
        )

    async def _reopen(self, failure: RetryableError) -> None:
        etag = self.info.etag
        while True:
            await self._exit_stack.aclose()
            await self._wait_before_reopening(failure)
            try:
                await self._open()
            except RetryableError as error:
                failure = error
                continue
            if self.info.etag != etag:
                msg = f"{self._key}: replaced while it was read; read it again"
                raise RetryableError(msg)
            return

    async def _wait_before_reopening(self, failure: RetryableError) -> None:
        """Wait before the next attempt to open, or raise after the last one."""
        self._failures += 1
        await self._reopen_policy.wait(self._failures, failure)


@dataclass(frozen=True, slots=True)
class ReopenPolicy:
    """How often an object is opened without progress, and how long to wait between."""

    attempts: int = 5
    backoff: Backoff = field(default_factory=Backoff)
    jitter: Callable[[], float] = random.random
    """Returns random numbers from 0 to 1, which spread the delays."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def wait(self, failures: int, failure: RetryableError) -> None:
        """Wait before the next attempt.

        Args:
            failures: how many attempts have failed without progress, from 1.
            failure: the last one.

        Raises:
            RetryableError: it was the last attempt.
        """
        if failures >= self.attempts:
            msg = f"{failure} (attempt {failures})"
            raise RetryableError(msg, failure.retry_after_s) from failure
        await self.sleep(self.backoff.delay_s(failures, self.jitter(), failure.retry_after_s))


async def decode_body(pieces: AsyncIterator[bytes], suffix: str) -> AsyncGenerator[bytes, None]:
    """Decode a body into blocks of at most 1 MiB of text, in threads.

    Args:
        pieces: the body in order, in pieces of any size.
        suffix: the end of the object's key, or the whole key: `.gz`, `.zst`, or anything else for
            text that is not compressed.

    Raises:
        DamagedError: it cannot be decoded to its end. The text before the damage was yielded.
    """
    decoder = Decoder(suffix)
    try:
        async for piece in pieces:
            blocks = decoder.feed(piece)
            while (block := await asyncio.to_thread(next, blocks, b"")) != b"":
                yield block
        decoder.finish()
    finally:
        if isinstance(pieces, AsyncGenerator):  # closes it now, not when the loop finalizes it
            await pieces.aclose()


async def drop_lines(
    texts: AsyncGenerator[bytes, None], dropped: frozenset[int], records: int
) -> AsyncGenerator[bytes, None]:
    """Yield blocks of text without some lines.

    Args:
        texts: the text in blocks, which need not end where lines end.
        dropped: the indexes of the lines, from 0.
        records: the number of lines that the text must have.

    Raises:
        DamagedError: the text has another number of lines. So the wrong ones may be missing.
    """
    line = 0
    async with aclosing(texts):
        async for text in texts:
            newlines = text.count(b"\n")
            touched = range(line, line + newlines + 1)
            kept = text
            if not dropped.isdisjoint(touched):
                pieces = zip(touched, BytesIO(text), strict=False)
                kept = b"".join(piece for number, piece in pieces if number not in dropped)
            line += newlines
            if kept:
                yield kept
    if line != records:
        lines = f"{line} line{'s' * (line != 1)}"
        msg = f"it has {lines}, not {records}: lines were left out by their number"
        raise DamagedError(msg)


async def align_to_lines(
    texts: AsyncIterator[bytes], max_line_bytes: int
) -> AsyncGenerator[bytes, None]:
    """Regroup blocks of text so that each ends with a newline.

    Raises:
        DamagedError: a line is longer than `max_line_bytes`, or the text ends within one. All lines
            before it were yielded.
    """
    splitter = LineSplitter()
    line_count = 0
    async for text in texts:
        if whole := splitter.split(text):
            yield whole
        line_count += whole.count(b"\n")
        if splitter.partial_line_bytes > max_line_bytes:
            raise _line_too_long_error(line_count + 1, max_line_bytes)
    if splitter.is_within_line:
        msg = f"the text ends within line {line_count + 1}"
        raise DamagedError(msg)


async def split_into_lines(
    texts: AsyncIterator[bytes], max_line_bytes: int
) -> AsyncGenerator[list[bytes], None]:
    """Split blocks of text into complete lines, without their newlines. No list is empty.

    Raises:
        DamagedError: see `align_to_lines`.
    """
    line_count = 0
    async with aclosing(align_to_lines(texts, max_line_bytes)) as aligned:
        async for text in aligned:
            lines = split_complete_lines(text)
            if len(text) > max_line_bytes and max(map(len, lines)) > max_line_bytes:
                before = list(takewhile(lambda line: len(line) <= max_line_bytes, lines))
                if before:
                    yield before
                raise _line_too_long_error(line_count + len(before) + 1, max_line_bytes)
            yield lines
            line_count += len(lines)


def _line_too_long_error(number: int, max_line_bytes: int) -> DamagedError:
    return DamagedError(f"line {number} is longer than {max_line_bytes} bytes")
