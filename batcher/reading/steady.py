"""Steady: an object's text, opened again where the store gives up, and nothing given twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from batcher.backoff import Backoff
from batcher.errors import RetryableError
from batcher.reading.decode import decoded

if TYPE_CHECKING:
    from batcher.stores.base import ObjectReader, Opened, Stored


@dataclass(frozen=True, slots=True)
class Reopening:
    """How often an object is opened without getting on, and how long to wait between."""

    attempts: int = 5
    backoff: Backoff = field(default_factory=Backoff)
    share: Callable[[], float] = random.random
    """Gives random numbers from 0 to 1, which spread the waiting."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Steady:
    """One object that is being read; use it as `async with Steady(…) as body`."""

    def __init__(self, reader: ObjectReader, key: str, reopening: Reopening) -> None:
        """Read the object at `key`; what its name ends with tells how it is decoded."""
        self._reader = reader
        self._key = key
        self._reopening = reopening
        self._exits = AsyncExitStack()
        self._opened: Opened
        self._failures = 0

    @property
    def stored(self) -> Stored:
        """What stands on the object."""
        return self._opened.stored

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
                await self._wait(error)
            else:
                return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exits.aclose()

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """Give the text in blocks of at most 1 MiB.

        Raises:
            DamagedError: the body cannot be decoded to its end.
            RetryableError: also where the object was replaced while it was read.
        """
        given_bytes = 0
        while True:
            known_bytes = given_bytes
            try:
                async with aclosing(decoded(self._opened.pieces, self._key)) as texts:
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
            await self._open_again(failure)

    async def _open(self) -> None:
        self._opened = await self._exits.enter_async_context(self._reader.reading(self._key))

    async def _open_again(self, failure: RetryableError) -> None:
        etag = self.stored.etag
        while True:
            await self._exits.aclose()
            await self._wait(failure)
            try:
                await self._open()
            except RetryableError as error:
                failure = error
                continue
            if self.stored.etag != etag:
                msg = f"{self._key}: it was replaced while it was read: read it again"
                raise RetryableError(msg)
            return

    async def _wait(self, failure: RetryableError) -> None:
        """Wait before it is opened again; raise where there is enough of it."""
        self._failures += 1
        if self._failures >= self._reopening.attempts:
            msg = f"{failure} (attempt {self._failures})"
            raise RetryableError(msg, failure.retry_after_s) from failure
        share = self._reopening.share()
        delay_s = self._reopening.backoff.delay_s(self._failures, share, failure.retry_after_s)
        await self._reopening.sleep(delay_s)
