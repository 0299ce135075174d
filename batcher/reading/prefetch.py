"""Prefetch: one object, opened and decoded a few blocks ahead of its reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING

from batcher.concurrency import shielded
from batcher.reading.overlap import LeftOut
from batcher.reading.stream import ReopenPolicy, ResumableBody, drop_lines
from batcher.records.chunk import NamingScheme
from batcher.writing.object import is_guard

if TYPE_CHECKING:
    from batcher.reading.catalog import CatalogEntry
    from batcher.reading.overlap import OverlapTracker
    from batcher.stores.base import ObjectInfo, ObjectReader

MAX_PREFETCHED_BLOCKS = 4
"""Blocks of at most 1 MiB of text that are decoded ahead."""


class Prefetch:
    """Reads one object in its own task, which the caller ends with `stop`."""

    def __init__(
        self,
        reader: ObjectReader,
        entry: CatalogEntry,
        overlap_tracker: OverlapTracker | None,
        reopen_policy: ReopenPolicy,
        on_ready: Callable[[Prefetch], None],
    ) -> None:
        """Start reading.

        Args:
            reader: opens the object.
            entry: the object.
            overlap_tracker: decides whether it is covered; None: it is read in any case.
            reopen_policy: how often it may be opened again.
            on_ready: called once, when the first block or the end is known.
        """
        self.entry = entry
        self.info: ObjectInfo | None = None
        """Size, ETag and metadata. None if it is not open yet or could not be opened."""
        self.is_covered: bool = False
        """Whether the object is left out: it is covered, or a guard. Known once `ready` is set."""
        self.left_out: LeftOut = LeftOut()
        """The lines that are left out. Known once `ready` is set."""
        self.ready: asyncio.Event = asyncio.Event()
        self._reader = reader
        self._overlap_tracker = overlap_tracker
        self._reopen_policy = reopen_policy
        self._on_ready = on_ready
        self._blocks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(MAX_PREFETCHED_BLOCKS)
        # Here and not in the task: the tracker needs the objects in the order of their first record
        is_stream = entry.parsed_key.naming is NamingScheme.SEQUENCE
        self._overlap_check = (
            overlap_tracker.register(entry.parsed_key) if overlap_tracker and is_stream else None
        )
        self._task = asyncio.create_task(self._run())

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """Yield the text in blocks, once. Raises what `ResumableBody` raises, too.

        Raises:
            RuntimeError: `stop` was called.
        """
        while (block := await self._blocks.get()) is not None:
            if isinstance(block, Exception):
                raise block
            yield block

    async def stop(self) -> None:
        """End the task, and return its connection."""
        self._task.cancel()
        while not self._blocks.empty():
            self._blocks.get_nowait()
        key = self.entry.parsed_key.key
        msg = f"{key}: lines can be read only before the next object is requested"
        self._blocks.put_nowait(RuntimeError(msg))
        self.ready.set()
        await shielded(asyncio.wait({self._task}))

    async def _run(self) -> None:
        end: Exception | None = None
        try:
            await self._read()
        except Exception as error:  # noqa: BLE001  # raised by `blocks`
            end = error
        finally:
            if self._overlap_check is not None:
                self._overlap_check.finish()
        self._signal_ready()
        await self._blocks.put(end)

    async def _read(self) -> None:
        key = self.entry.parsed_key.key
        try:
            async with ResumableBody(self._reader, key, self._reopen_policy) as body:
                self.info = body.info
                must_compare = await self._must_compare(body.info.metadata)
                if is_guard(body.info.metadata):
                    self.is_covered = True
                    return
                if not must_compare:
                    await self._queue_blocks(body)
                    return
        except Exception:
            if self.info is None:
                await self._must_compare(None)
            raise
        # The connection is closed by now, because comparing needs one
        assert self._overlap_tracker is not None  # noqa: S101  # it found an overlap
        assert self._overlap_check is not None  # noqa: S101  # the same
        self.left_out = await self._overlap_tracker.compare(self._overlap_check, self.info.metadata)
        self.is_covered = self.left_out.is_whole
        if not self.is_covered:
            async with ResumableBody(self._reader, key, self._reopen_policy) as body:
                self.info = body.info
                await self._queue_blocks(body)

    async def _must_compare(self, metadata: Mapping[str, str] | None) -> bool:
        if self._overlap_tracker is None or self._overlap_check is None:
            return False
        return await self._overlap_tracker.must_compare(self._overlap_check, metadata)

    async def _queue_blocks(self, body: ResumableBody) -> None:
        blocks = body.blocks()
        if self.left_out.lines:
            blocks = drop_lines(blocks, self.left_out.lines, self.left_out.records)
        async with aclosing(blocks):
            async for block in blocks:
                await self._blocks.put(block)
                self._signal_ready()

    def _signal_ready(self) -> None:
        if not self.ready.is_set():
            self.ready.set()
            self._on_ready(self)
