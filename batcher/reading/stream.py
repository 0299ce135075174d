"""Steady: an object's text, opened again where the store gives up, and nothing given twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from itertools import takewhile
from types import TracebackType
from typing import TYPE_CHECKING, Self

from batcher.encoding.decoder import Decoder
from batcher.encoding.text import LineSplitter, split_complete_lines
from batcher.errors import DamagedError, RetryableError
from batcher.stores.retrying import Backoff

if TYPE_CHECKING:
    from batcher.stores.base import ObjectBody, ObjectInfo, ObjectReader


@dataclass(frozen=True, slots=True)
class ReopenPolicy:
    """How often an object is opened without getting on, and how long to wait between."""

    attempts: int = 5
    backoff: Backoff = field(default_factory=Backoff)
    jitter: Callable[[], float] = random.random
    """Return random numbers from 0 to 1, which spread the waiting."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class ResumableBody:
    """One object that is being read; use it as `async with Steady(…) as body`."""

    def __init__(self, reader: ObjectReader, key: str, reopen_policy: ReopenPolicy) -> None:
        """Read the object at `key`; what its name ends with tells how it is decoded."""
        self._reader = reader
        self._key = key
        self._reopen_policy = reopen_policy
        self._exit_stack = AsyncExitStack()
        self._opened: ObjectBody
        self._failures = 0

    @property
    def info(self) -> ObjectInfo:
        """What stands on the object."""
        return self._opened.info

    async def __aenter__(self) -> Self:
        """Open it.

        Raises:
            NotFoundError: there is no such object.
            RetryableError: the store stayed busy.
            RejectedError: the store refuses.
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
        """Return the text in blocks of at most 1 MiB.

        Raises:
            DamagedError: the body cannot be decoded to its end.
            RetryableError: also where the object was replaced while it was read.
        """
        given_bytes = 0
        while True:
            known_bytes = given_bytes
            try:
                async with aclosing(decode_body(self._opened.pieces, self._key)) as texts:
                    async for text in texts:
                        fresh = text[known_bytes:]
                        known_bytes -= len(text) - len(fresh)
                        if fresh:
                            given_bytes += len(fresh)
                            self._failures = 0
                            yield fresh
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
                msg = f"{self._key}: it was replaced while it was read: read it again"
                raise RetryableError(msg)
            return

    async def _wait_before_reopening(self, failure: RetryableError) -> None:
        """Wait before it is opened again; raise where there is enough of it."""
        self._failures += 1
        if self._failures >= self._reopen_policy.attempts:
            msg = f"{failure} (attempt {self._failures})"
            raise RetryableError(msg, failure.retry_after_s) from failure
        share = self._reopen_policy.jitter()
        delay_s = self._reopen_policy.backoff.delay_s(self._failures, share, failure.retry_after_s)
        await self._reopen_policy.sleep(delay_s)


async def decode_body(pieces: AsyncIterator[bytes], suffix: str) -> AsyncGenerator[bytes, None]:
    """Decode a body to blocks of text of at most 1 MiB, off the event loop.

    Args:
        pieces: the body in order, some bytes at a time.
        suffix: what the object's name ends with, or the whole name: `.gz`, `.zst`, or neither.

    Raises:
        DamagedError: it cannot be decoded to its end; what was given before is what came first.
    """
    decoder = Decoder(suffix)
    try:
        async for piece in pieces:
            blocks = decoder.feed(piece)
            while (block := await asyncio.to_thread(next, blocks, b"")) != b"":
                yield block
        decoder.finish()
    finally:
        if isinstance(pieces, AsyncGenerator):  # as readers give them; else the loop would do it
            await pieces.aclose()


async def align_to_lines(
    texts: AsyncIterator[bytes], max_line_bytes: int
) -> AsyncGenerator[bytes, None]:
    """Cut blocks of text where lines end: each that is given ends with a newline.

    Raises:
        DamagedError: a line goes on for more than `max_line_bytes`, or the text ends within one.
            All lines before it have been given.
    """
    cutter = LineSplitter()
    count = 0
    async for text in texts:
        if found := cutter.split(text):
            yield found
        count += found.count(b"\n")
        if cutter.partial_line_bytes > max_line_bytes:
            raise _line_too_long_error(count + 1, max_line_bytes)
    if cutter.is_within_line:
        msg = f"the text ends within line {count + 1}"
        raise DamagedError(msg)


async def split_into_lines(
    texts: AsyncIterator[bytes], max_line_bytes: int
) -> AsyncGenerator[list[bytes], None]:
    """Cut blocks of text into complete lines, without their newlines; no list is empty.

    Raises:
        DamagedError: as `whole_lines`, or a line has more than `max_line_bytes`.
    """
    count = 0
    async with aclosing(align_to_lines(texts, max_line_bytes)) as wholes:
        async for text in wholes:
            found = split_complete_lines(text)
            if len(text) > max_line_bytes and max(map(len, found)) > max_line_bytes:
                short = list(takewhile(lambda line: len(line) <= max_line_bytes, found))
                if short:
                    yield short
                raise _line_too_long_error(count + len(short) + 1, max_line_bytes)
            yield found
            count += len(found)


def _line_too_long_error(number: int, max_line_bytes: int) -> DamagedError:
    return DamagedError(f"line {number} is longer than {max_line_bytes} bytes")
