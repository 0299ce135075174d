"""Verify: every object under a root, read back side by side and judged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from batcher.encoding.decoder import Decoder
from batcher.errors import BatcherError, DamagedError, NotFoundError, RetryableError
from batcher.keys.names import start_of
from batcher.keys.parse import ForeignError, Name, is_check, read_name
from batcher.reading.findings import Finding, Kind
from batcher.reading.sanitize import printable
from batcher.tools.verify.inspection import Inspection
from batcher.tools.verify.report import Report

if TYPE_CHECKING:
    from batcher.stores.base import Listed, ObjectReader

READS = 3
"""How often an object is read from its start, where the store gives up halfway."""


LISTED_AHEAD = 10_000
"""Objects that are listed but not read yet, at most: they tell how much there is to do."""


class Verify:
    """Reads and judges all objects under a root.

    Peak memory is some 4 MB for each object that is being read, whatever its size, and some 300
    bytes for each object of a stream, whose range is kept.
    """

    def __init__(self, reader: ObjectReader, root: str, report: Report, concurrency: int) -> None:
        """Look at what `reader` gives under `root`, `concurrency` objects at once."""
        self._reader = reader
        self._root = root
        self._report = report
        self._concurrency = concurrency
        self._queue: asyncio.Queue[Listed | None] = asyncio.Queue(LISTED_AHEAD)
        self.read_bytes = 0
        """Bytes of objects that were read to their end so far."""
        self.listed_bytes = 0
        """Bytes of objects that were listed so far."""
        self.is_listed = False
        """Whether all objects are listed, so that `listed_bytes` is the whole."""

    @property
    def total_bytes(self) -> int | None:
        """Bytes of all objects, or None while nobody knows."""
        return self.listed_bytes if self.is_listed else None

    async def run(self, now_s: Callable[[], float], tick: Callable[[], None]) -> None:
        """Read everything, and fill in the report.

        Args:
            now_s: the time, in seconds since 1970, to tell how old uploads are.
            tick: called after each object, and each piece of one.

        Raises:
            BatcherError: objects cannot even be listed.
        """
        failed: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._list())
                for _ in range(self._concurrency):
                    tasks.create_task(self._work(tick))
        except BaseExceptionGroup as group:
            failed = group.exceptions[0]
        if failed is not None:
            raise failed  # outside of the handler: its cause is its own
        await self._look_for_uploads(now_s)
        self._report.end()

    async def _list(self) -> None:
        async for listed in self._reader.list_objects(start_of(self._root)):
            if is_check(listed.key, self._root):
                continue
            self.listed_bytes += listed.size_bytes
            await self._queue.put(listed)
        self.is_listed = True
        for _ in range(self._concurrency):
            await self._queue.put(None)

    async def _work(self, tick: Callable[[], None]) -> None:
        while (listed := await self._queue.get()) is not None:
            await self._judge(listed, tick)
            self.read_bytes += listed.size_bytes
            tick()

    async def _judge(self, listed: Listed, tick: Callable[[], None]) -> None:
        try:
            name = read_name(listed.key, self._root)
        except ForeignError as error:
            self._find(Kind.FOREIGN, listed.key, str(error))
            return
        for attempt in range(1, READS + 1):
            try:
                inspection = await self._read(name, tick)
            except NotFoundError:
                self._report.gone += 1
            except RetryableError as error:
                if attempt < READS:
                    continue
                self._find(Kind.UNREADABLE, listed.key, str(error))
            except BatcherError as error:
                self._find(Kind.UNREADABLE, listed.key, str(error))
            else:
                self._report.add(listed, name, inspection)
            return

    async def _read(self, name: Name, tick: Callable[[], None]) -> Inspection:
        """Read one object to its end, or to where it is damaged."""
        async with self._reader.reading(name.key) as opened:
            inspection = Inspection(name, opened.stored.metadata)
            decoder = Decoder(name.suffix)

            def take(piece: bytes) -> None:
                for block in decoder.feed(piece):  # a bomb's text goes by in here, block by block
                    inspection.add(block)

            try:
                async for piece in opened.pieces:
                    await asyncio.to_thread(take, piece)
                    tick()
                decoder.end()
            except DamagedError as error:
                inspection.damaged(str(error))
            else:
                inspection.end()
            return inspection

    async def _look_for_uploads(self, now_s: Callable[[], float]) -> None:
        prefix = start_of(self._root)
        try:
            async for upload in self._reader.list_uploads(prefix):
                self._report.add_upload(upload, now_s())
        except BatcherError as error:
            self._find(Kind.UNREADABLE, prefix, f"open uploads cannot be listed: {error}")

    def _find(self, kind: Kind, key: str, detail: str) -> None:
        self._report.find(Finding(kind, printable(key), printable(detail)))
