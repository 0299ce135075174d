"""Fetch: one object on its way to a reader, opened and decoded a little ahead of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING

from batcher.concurrency import uninterrupted
from batcher.reading.stream import Reopening, Steady
from batcher.records.chunk import Naming

if TYPE_CHECKING:
    from batcher.reading.catalog import Found
    from batcher.reading.overlap import Covering, Range
    from batcher.stores.base import ObjectReader, Stored

BLOCKS_AHEAD = 4
"""Blocks of text, of 1 MiB at most, that are decoded before they are asked for."""


class Fetch:
    """Reads one object in a task of its own, which whoever began it ends with `stop`."""

    def __init__(
        self,
        reader: ObjectReader,
        found: Found,
        covering: Covering | None,
        reopening: Reopening,
        on_ready: Callable[[Fetch], None],
    ) -> None:
        """Begin.

        Args:
            reader: where it lies.
            found: the object.
            covering: tells whether it is covered; None: it is given in any case.
            reopening: how often it may be opened again.
            on_ready: called once, when there is something to give, or nothing to come.
        """
        self.found = found
        self.stored: Stored | None = None
        """What stands on the object, where it could be opened."""
        self.is_covered = False
        """Whether it is left out."""
        self.is_ready = asyncio.Event()
        self._reader = reader
        self._covering = covering
        self._reopening = reopening
        self._on_ready = on_ready
        self._blocks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(BLOCKS_AHEAD)
        # In this order for all: a turn is given when the fetch is begun
        is_stream = found.name.naming is Naming.SEQUENCE
        self._turn = covering.begin(found.name) if covering and is_stream else None
        self._task = asyncio.create_task(self._run())

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """Give the text in blocks, once; errors are those of `Steady`.

        Raises:
            RuntimeError: it was stopped.
        """
        while (block := await self._blocks.get()) is not None:
            if isinstance(block, Exception):
                raise block
            yield block

    async def stop(self) -> None:
        """End it, and let go of its connection."""
        self._task.cancel()
        while not self._blocks.empty():
            self._blocks.get_nowait()
        msg = f"{self.found.name.key}: its lines can be read before the next object is asked for"
        self._blocks.put_nowait(RuntimeError(msg))
        self.is_ready.set()
        await uninterrupted(asyncio.wait({self._task}))

    async def _run(self) -> None:
        end: Exception | None = None
        try:
            await self._read()
        except Exception as error:  # noqa: BLE001  # for whoever reads the lines
            end = error
        self._ready()
        await self._blocks.put(end)

    async def _read(self) -> None:
        key = self.found.name.key
        try:
            async with Steady(self._reader, key, self._reopening) as body:
                self.stored = body.stored
                outer = await self._settled(body.stored.metadata)
                if outer is None:
                    await self._pump(body)
                    return
        except Exception:
            if self.stored is None:
                await self._settled(None)
            raise
        # Its connection has been given back: comparing needs one
        assert self._covering is not None  # noqa: S101  # it gave the outer one
        self.is_covered = await self._covering.is_covered(
            self.found.name, outer, self.stored.metadata
        )
        if not self.is_covered:
            async with Steady(self._reader, key, self._reopening) as body:
                self.stored = body.stored
                await self._pump(body)

    async def _settled(self, metadata: Mapping[str, str] | None) -> Range | None:
        if self._covering is None or self._turn is None:
            return None
        return await self._covering.settle(self._turn, metadata)

    async def _pump(self, body: Steady) -> None:
        async with aclosing(body.blocks()) as texts:
            async for block in texts:
                await self._blocks.put(block)
                self._ready()

    def _ready(self) -> None:
        if not self.is_ready.is_set():
            self.is_ready.set()
            self._on_ready(self)
