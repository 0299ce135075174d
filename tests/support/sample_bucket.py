"""A bucket in memory that records requests, and whose listings and bodies can fail."""

from __future__ import annotations

import asyncio
import gzip
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager

from batcher.encoding.positions_field import add_positions
from batcher.keys.names import salt
from batcher.records.chunk import positions_digest
from batcher.records.position import sequence_number
from batcher.records.positions import encode_positions
from batcher.settings import Settings
from batcher.stores import ObjectAttributes
from batcher.stores.base import CommonPrefix, ListEntry, ObjectBody
from batcher.stores.memory import MemoryStore

ROOT = "r"
HOUR = "dt=2026-11-23/hour=07"
HOUR_S = 1_795_417_200
"""Start of that hour."""
SETTINGS = Settings(bucket="my-bucket", root=ROOT, concurrency=4)


class SampleBucket(MemoryStore):
    """Objects with the times at which they were written, and a log of requests."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.modified_s: dict[str, float] = {}
        """When objects were written, by key."""
        self.requests: list[str] = []
        """Listings as `list PREFIX` and `look PREFIX` (one folder), and bodies as `read KEY`."""
        self.error_for: Callable[[str, int], Exception | None] = lambda _request, _attempt: None
        """Returns the error of a request and its attempt, from 1. Bodies fail halfway."""
        self.open_bodies = self.max_open_bodies = 0
        self.is_closed = False
        self.pieces: Counter[str] = Counter()
        """Pieces of 1 MiB read from each body, by key."""

    def count(self, start: str) -> int:
        """Count the requests that start with `start`."""
        return sum(request.startswith(start) for request in self.requests)

    def _record(self, request: str) -> Exception | None:
        self.requests.append(request)
        return self.error_for(request, self.requests.count(request))

    async def list_objects(self, prefix: str) -> AsyncIterator[ListEntry]:
        """See `ObjectReader.list_objects`."""
        if error := self._record(f"list {prefix}"):
            raise error
        async for entry in self._list(prefix):
            yield entry

    async def list_folder(self, prefix: str) -> AsyncGenerator[ListEntry | CommonPrefix, None]:
        """See `ObjectReader.list_folder`."""
        if error := self._record(f"look {prefix}"):
            raise error
        folders = set()
        async for entry in self._list(prefix):
            folder, slash, _ = entry.key.removeprefix(prefix).partition("/")
            if not slash:
                yield entry
            elif folder not in folders:
                folders.add(folder)
                yield CommonPrefix(f"{prefix}{folder}/")

    async def _list(self, prefix: str) -> AsyncIterator[ListEntry]:
        async for entry in super().list_objects(prefix):
            modified_s = self.modified_s.get(entry.key, 4e9)
            yield ListEntry(entry.key, entry.size_bytes, entry.etag, modified_s)

    @asynccontextmanager
    async def open_object(self, key: str) -> AsyncIterator[ObjectBody]:
        """Open an object whose body fails halfway if `error_for` returns an error."""
        error = self._record(f"read {key}")
        self.open_bodies += 1
        self.max_open_bodies = max(self.max_open_bodies, self.open_bodies)
        try:
            async with super().open_object(key) as body:
                pieces = _broken(body.pieces, error) if error else self._counted(key, body.pieces)
                yield ObjectBody(body.info, body.content_type, pieces)
        finally:
            self.open_bodies -= 1

    async def _counted(self, key: str, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async with _closing(pieces):
            async for piece in pieces:
                self.pieces[key] += 1
                yield piece

    async def aclose(self) -> None:
        """Record that the reader was closed."""
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
    """Return the name of an object of a stream."""
    return f"orders-shardId-{shard:012d}-{first:064d}"


def queue_name(time_s: float, number: int = 0) -> str:
    """Return the name of an object of a queue."""
    return f"jobs-{round(time_s * 1000):013d}-{number:032x}"


def fresh_name(time_s: float, number: int = 0) -> str:
    """Return the name of an object of a program."""
    time = f"{round(time_s * 1000):012x}"
    return f"{time[:8]}-{time[8:]}-7{number:03x}-8000-000000000000"


def key_of(name: str, partition: str = HOUR, fanout: int = 16) -> str:
    """Return the key of an object under `ROOT`."""
    parts = (ROOT, salt(name, fanout), partition, f"{name}.ndjson.gz")
    return "/".join(filter(None, parts))


async def put(store: MemoryStore, key: str, text: bytes = b"1\n", **metadata: str) -> str:
    """Write an object with this text and return its key."""
    attributes = ObjectAttributes(
        metadata={f"batcher-{name}": value for name, value in metadata.items()}
    )
    await store.put(key, gzip.compress(text, mtime=0), attributes)
    return key


async def put_range(
    store: MemoryStore, first: int, last: int, partition: str = HOUR, fanout: int = 16
) -> str:
    """Write an object of a stream with a record per number of its range, and return its key."""
    text = b"".join(b"%d\n" % number for number in range(first, last + 1))
    key = key_of(stream_name(first), partition, fanout)
    return await put(store, key, text, first=str(first), last=str(last))


async def put_listed(  # noqa: PLR0913  # what an object can differ in
    store: MemoryStore,
    positions: Iterable[object],
    line: str = "{}",
    *,
    stem: str = "orders-shardId-000000000003",
    text: bytes | None = None,
    fanout: int = 16,
    **metadata: str,
) -> str:
    """Write an object of a stream with a positions list, and return its key.

    Args:
        store: where to.
        positions: of its records, in increasing order.
        line: each line, in which `{}` becomes the position.
        stem: stream and shard.
        text: of the whole object, in place of its lines.
        fanout: of its salt.
        metadata: other than a writer would give it.
    """
    listed = list(map(str, positions))
    if text is None:
        text = "".join(f"{line.format(position)}\n" for position in listed).encode()
    code = encode_positions(listed)
    assert code is not None
    first, last = sequence_number(listed[0]), sequence_number(listed[-1])
    fields = {
        "records": str(len(listed)),
        "first": first,
        "last": last,
        "digest": positions_digest(listed),
    } | metadata
    body: bytes | None = gzip.compress(text, mtime=0)
    if len(listed) % 2:
        body = add_positions(body or b"", "gzip", code)
        assert body is not None
    else:
        fields = {"positions": b64encode(code).decode()} | fields
    attributes = ObjectAttributes(metadata={f"batcher-{k}": v for k, v in fields.items()})
    key = key_of(f"{stem}-{int(first):064d}", fanout=fanout)
    await store.put(key, body or b"", attributes)
    return key
