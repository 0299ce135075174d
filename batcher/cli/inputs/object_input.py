"""Objects of S3 as inputs: the event loop reads them, the reading thread takes the pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import aclosing
from typing import TYPE_CHECKING, Self, TypeVar

from batcher.cli.inputs.bucket_objects import input_settings
from batcher.reading.stored_body import read_stored_body
from batcher.reading.stream import ReopenPolicy
from batcher.stores import open_bucket_reader

if TYPE_CHECKING:
    from batcher.cli.inputs.expand_inputs import Source
    from batcher.settings import Settings
    from batcher.stores.base import BucketReader, ObjectInfo

_T = TypeVar("_T")


STOP_POLL_S = 0.1
"""How long a read waits for a piece before it looks whether it should stop."""


MAX_PREFETCHED_OBJECTS = 4
"""Objects that are opened while the one before them is read."""


MAX_QUEUED_PIECES = 2
"""Pieces of at most 1 MiB that are read ahead of each object."""


class ObjectFeed:
    """Reads objects in tasks of the event loop, a few of them ahead of the reading thread.

    Use it as `async with ObjectFeed(…) as feed`.
    """

    def __init__(
        self, sources: Sequence[Source], settings: Settings, on_size: Callable[[int], None]
    ) -> None:
        """Connect at the first object.

        Args:
            sources: all inputs, in the order in which they are read.
            settings: region, endpoint and credentials of all buckets.
            on_size: called once for each object whose size was not known before, with the size, or
                0 if the object cannot be opened.
        """
        self._sources = sources
        self._settings = settings
        self._on_size = on_size
        self._loop: asyncio.AbstractEventLoop
        self._readers: dict[str, BucketReader] = {}
        self._downloads: dict[int, _Download] = {}

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop all reads and close all connections."""
        for download in self._downloads.values():
            await download.stop()
        for reader in self._readers.values():
            await reader.aclose()

    def open(
        self, index: int, is_stopped: Callable[[], bool], on_read: Callable[[int], None]
    ) -> ObjectInput:
        """Return the input with this index. Called by the reading thread."""
        return ObjectInput(self, index, is_stopped, on_read)

    def take(self, index: int) -> Future[bytes]:
        """Request the next piece of an object. Called by the reading thread."""
        return asyncio.run_coroutine_threadsafe(self._take(index), self._loop)

    def restart(self, index: int) -> Future[None]:
        """Read an object from its start again. Called by the reading thread."""
        return asyncio.run_coroutine_threadsafe(self._restart(index), self._loop)

    def finish(self, index: int) -> None:
        """Stop the read of an object. Called by the reading thread."""
        asyncio.run_coroutine_threadsafe(self._finish(index), self._loop)

    async def _take(self, index: int) -> bytes:
        for each in range(index, min(index + 1 + MAX_PREFETCHED_OBJECTS, len(self._sources))):
            if self._sources[each].bucket and each not in self._downloads:
                self._downloads[each] = self._start(each)
        return await self._downloads[index].take()

    def _start(self, index: int, etag: str = "") -> _Download:
        source = self._sources[index]
        reader = self._readers.get(source.bucket)
        if reader is None:
            reader = open_bucket_reader(input_settings(self._settings, source.bucket))
            self._readers[source.bucket] = reader
        has_size = source.size_bytes is not None or etag
        return _Download(reader, source.key, _ignore if has_size else self._on_size, etag)

    async def _restart(self, index: int) -> None:
        download = self._downloads[index]
        await download.stop()
        self._downloads[index] = self._start(index, download.etag)

    async def _finish(self, index: int) -> None:
        if download := self._downloads.pop(index, None):
            await download.stop()


class _Download:
    """Reads one object in a task of its own, a few pieces ahead."""

    def __init__(
        self, reader: BucketReader, key: str, on_size: Callable[[int], None], etag: str
    ) -> None:
        self.etag = etag
        self._on_size: Callable[[int], None] | None = on_size
        self._pieces: asyncio.Queue[bytes | Exception] = asyncio.Queue(MAX_QUEUED_PIECES)
        self._task = asyncio.create_task(self._run(reader, key))

    async def take(self) -> bytes:
        """Return the next piece, or nothing at the end. Raises what `read_stored_body` raises."""
        piece = await self._pieces.get()
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def stop(self) -> None:
        """End the task, and return its connection."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self, reader: BucketReader, key: str) -> None:
        end: bytes | Exception = b""
        try:
            body = read_stored_body(reader, key, ReopenPolicy(), self._set_info, self.etag)
            async with aclosing(body) as pieces:
                async for piece in pieces:
                    await self._pieces.put(piece)
        except Exception as error:  # noqa: BLE001  # raised by `take`
            end = error
        self._report_size(0)
        await self._pieces.put(end)

    def _set_info(self, info: ObjectInfo) -> None:
        self.etag = info.etag
        self._report_size(info.size_bytes)

    def _report_size(self, size_bytes: int) -> None:
        """Report the size once."""
        if self._on_size is not None:
            self._on_size(size_bytes)
            self._on_size = None


class ObjectInput:
    """One object, read by the reading thread; see `RawInput`."""

    is_seekable = True
    """Whether it can be read a second time."""

    def __init__(
        self,
        feed: ObjectFeed,
        index: int,
        is_stopped: Callable[[], bool],
        on_read: Callable[[int], None],
    ) -> None:
        self.is_ended = False
        """Whether the end of the object was reached. False if reading was stopped before."""
        self._feed = feed
        self._index = index
        self._is_stopped = is_stopped
        self._on_read = on_read
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_stopped():  # else the event loop ends all reads, and may be closed
            self._feed.finish(self._index)

    def read(self, size: int) -> bytes:
        """Wait for a piece and return it, or nothing: at the end, or if stopped.

        Args:
            size: ignored, because pieces have 1 MiB at most.

        Raises:
            BatcherError: the object cannot be read any further.
        """
        del size
        if self.is_ended or self._is_stopped():
            return b""
        piece = self._wait(self._feed.take(self._index))
        if piece is None:
            return b""
        self._on_read(len(piece))
        self.is_ended = not piece
        return piece

    def rewind(self) -> None:
        """Read the object from its start again. The bytes are not counted again."""
        self._on_read = _ignore
        self.is_ended = False
        if not self._is_stopped():
            self._wait(self._feed.restart(self._index))

    def _wait(self, future: Future[_T]) -> _T | None:
        """Return the result, or None if reading is stopped meanwhile."""
        while not self._is_stopped():
            try:
                return future.result(STOP_POLL_S)
            except TimeoutError:
                if future.done():
                    raise
        return None  # the future is not cancelled: its event loop may be closed


def _ignore(size_bytes: int) -> None:
    del size_bytes
