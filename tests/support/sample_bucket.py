"""Shelf: a store whose listings and bodies can be made to fail, and that tells what was asked."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from batcher.keys.names import salt
from batcher.settings import Settings
from batcher.stores import ObjectAttributes
from batcher.stores.base import CommonPrefix, ListEntry, ObjectBody
from batcher.stores.memory import MemoryStore

ROOT = "r"
HOUR = "dt=2026-11-23/hour=07"
HOUR_S = 1_795_417_200
"""When that hour begins."""
SETTINGS = Settings(bucket="my-bucket", root=ROOT, concurrency=4)


class SampleBucket(MemoryStore):
    """Objects, when they were written, and a log of requests."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.modified: dict[str, float] = {}
        self.asked: list[str] = []
        """Listings as `list PREFIX` and `look PREFIX`, and bodies as `read KEY`."""
        self.failing: Callable[[str, int], Exception | None] = lambda _request, _times: None
        """Return the error of a request that is made so many times; of a body, after its half."""
        self.at_once = self.most_at_once = 0
        self.is_closed = False
        self.pieces: Counter[str] = Counter()
        """How much of each body was asked for, in MiB, begun ones included."""

    def count(self, start: str) -> int:
        """Count the requests that start so."""
        return sum(request.startswith(start) for request in self.asked)

    def _ask(self, request: str) -> Exception | None:
        self.asked.append(request)
        return self.failing(request, self.asked.count(request))

    async def list_objects(self, prefix: str) -> AsyncIterator[ListEntry]:
        """See `ObjectReader.list_objects`."""
        if error := self._ask(f"list {prefix}"):
            raise error
        async for listed in self._listed(prefix):
            yield listed

    async def list_folder(self, prefix: str) -> AsyncGenerator[ListEntry | CommonPrefix, None]:
        """See `ObjectReader.list_folder`."""
        if error := self._ask(f"look {prefix}"):
            raise error
        folders = set()
        async for listed in self._listed(prefix):
            folder, slash, _ = listed.key.removeprefix(prefix).partition("/")
            if not slash:
                yield listed
            elif folder not in folders:
                folders.add(folder)
                yield CommonPrefix(f"{prefix}{folder}/")

    async def _listed(self, prefix: str) -> AsyncIterator[ListEntry]:
        async for found in super().list_objects(prefix):
            modified_s = self.modified.get(found.key, 4e9)
            yield ListEntry(found.key, found.size_bytes, found.etag, modified_s)

    @asynccontextmanager
    async def open_object(self, key: str) -> AsyncIterator[ObjectBody]:
        """Fail halfway, if it is to."""
        error = self._ask(f"read {key}")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            async with super().open_object(key) as opened:
                pieces = (
                    _broken(opened.pieces, error) if error else self._counted(key, opened.pieces)
                )
                yield ObjectBody(opened.info, opened.content_type, pieces)
        finally:
            self.at_once -= 1

    async def _counted(self, key: str, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async with _closing(pieces):
            async for piece in pieces:
                self.pieces[key] += 1
                yield piece

    async def aclose(self) -> None:
        """Note it."""
        self.is_closed = True


def _closing(pieces: AsyncIterator[bytes]) -> aclosing[AsyncGenerator[bytes, None]]:
    assert isinstance(pieces, AsyncGenerator)
    return aclosing(pieces)


async def _broken(pieces: AsyncIterator[bytes], error: Exception) -> AsyncIterator[bytes]:
    async with _closing(pieces):
        async for piece in pieces:
            yield piece[: len(piece) // 2]
            await asyncio.sleep(0)
            raise error


def stream_name(first: int, shard: int = 3) -> str:
    """Name a stream's object."""
    return f"orders-shardId-{shard:012d}-{first:064d}"


def queue_name(time_s: float, number: int = 0) -> str:
    """Name a queue's object."""
    return f"jobs-{round(time_s * 1000):013d}-{number:032x}"


def fresh_name(time_s: float, number: int = 0) -> str:
    """Name a program's object."""
    time = f"{round(time_s * 1000):012x}"
    return f"{time[:8]}-{time[8:]}-7{number:03x}-8000-000000000000"


def key_of(name: str, partition: str = HOUR, fanout: int = 16) -> str:
    """Return the key of an object under the root."""
    parts = (ROOT, salt(name, fanout), partition, f"{name}.ndjson.gz")
    return "/".join(filter(None, parts))


async def put(store: MemoryStore, key: str, text: bytes = b"1\n", **metadata: str) -> str:
    """Write an object with this text; give its key."""
    about = ObjectAttributes(
        metadata={f"batcher-{name}": value for name, value in metadata.items()}
    )
    await store.put(key, gzip.compress(text, mtime=0), about)
    return key


async def put_range(
    store: MemoryStore, first: int, last: int, partition: str = HOUR, fanout: int = 16
) -> str:
    """Write a stream's object with a record for each number of its range; give its key."""
    text = b"".join(b"%d\n" % number for number in range(first, last + 1))
    key = key_of(stream_name(first), partition, fanout)
    return await put(store, key, text, first=str(first), last=str(last))
