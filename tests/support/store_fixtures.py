"""Kits: a store under test, and a look at what is in it that does not go through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson

from batcher.settings import Settings
from batcher.stores import (
    ObjectAttributes,
    ObjectInfo,
    ObjectReader,
    ObjectStore,
    limit_concurrency,
)
from batcher.stores.custom import CustomUpload
from batcher.stores.file import FileStore
from batcher.stores.file_reader import FileReader
from batcher.stores.memory import MemoryStore
from batcher.stores.obstore.store import ObstoreStore
from batcher.stores.rate_limits.limiter import PrefixLimiters
from batcher.stores.rate_limits.store import RateLimitedStore
from batcher.stores.s3.reader import S3Reader
from batcher.stores.s3.store import S3Store
from support.s3_servers import S3Server

ENGINES: Mapping[str, Callable[[Settings], ObjectStore]] = {
    "aioboto3": S3Store,
    "obstore": ObstoreStore,
}
"""Every engine for S3, as nothing wraps it."""


class StoreFixture(Protocol):
    """A store under test, and a look at what is in it that does not go through it."""

    def open(self) -> ObjectStore:
        """Make a store on the same place; another one sees the same objects."""

    def open_reader(self) -> ObjectReader:
        """Make a reader of the same place."""

    def read(self, key: str) -> tuple[bytes, str, dict[str, str]]:
        """Return an object's body, Content-Type and metadata."""

    def keys(self) -> set[str]:
        """Return the keys of all objects."""

    def open_uploads(self) -> int:
        """Count the multipart uploads that are open."""


@dataclass
class MemoryStoreFixture:
    """A `MemoryStore`."""

    store: MemoryStore

    def open(self) -> ObjectStore:
        """Return the one store there is."""
        return self.store

    def open_reader(self) -> ObjectReader:
        """Return the one store there is."""
        return self.store

    def read(self, key: str) -> tuple[bytes, str, dict[str, str]]:
        """See `Kit.read`."""
        there = self.store.objects[key]
        return there.body, there.attributes.content_type, dict(there.info.metadata)

    def keys(self) -> set[str]:
        """See `Kit.keys`."""
        return set(self.store.objects)

    def open_uploads(self) -> int:
        """See `Kit.open_uploads`."""
        return len(self.store.uploads)


@dataclass
class RateLimitedStoreFixture(MemoryStoreFixture):
    """A `MemoryStore` that is paced."""

    def open(self) -> ObjectStore:
        """Make a wrapper of its own."""
        return RateLimitedStore(self.store, PrefixLimiters(3_500, 16, "events", 16), 16)


class CallersStore:
    """A caller's own store around a `MemoryStore`: methods, and neither `send` nor a base class."""

    def __init__(self, inner: MemoryStore) -> None:
        """Write to `inner`."""
        self._inner = inner
        self.aclose = inner.aclose
        self.head = inner.head

    async def put(
        self, key: str, body: bytes, attributes: ObjectAttributes, *, if_match: str | None = None
    ) -> ObjectInfo:
        """See `CustomStore.put`."""
        return await self._inner.put(key, body, attributes, if_match=if_match)

    async def create_upload(
        self, key: str, attributes: ObjectAttributes, *, part_bytes: int
    ) -> CustomUpload:
        """See `CustomStore.create_upload`."""
        return await self._inner.create_upload(key, attributes, part_bytes=part_bytes)


@dataclass
class CallersStoreFixture(MemoryStoreFixture):
    """A caller's own store, as `Batcher` and `make_handler` take it."""

    def open(self) -> ObjectStore:
        """Adapt it."""
        return limit_concurrency(CallersStore(self.store), 16)


@dataclass
class FileStoreFixture:
    """A `FileStore`."""

    folder: Path

    def open(self) -> ObjectStore:
        """See `Kit.open`."""
        return FileStore(self.folder)

    def open_reader(self) -> ObjectReader:
        """See `Kit.open_reader`."""
        return FileReader(self.folder)

    def read(self, key: str) -> tuple[bytes, str, dict[str, str]]:
        """See `Kit.read`."""
        meta = orjson.loads((self.folder / ".meta" / f"{key}.json").read_bytes())
        return (self.folder / key).read_bytes(), meta["content_type"], meta["metadata"]

    def files(self) -> set[str]:
        """Return every file under the folder, whatever it is."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)) for path in found}

    def keys(self) -> set[str]:
        """See `Kit.keys`."""
        return {f for f in self.files() if not Path(f).name.startswith(".") and f[:6] != ".meta/"}

    def open_uploads(self) -> int:
        """Count the temporary files: they are what uploads leave."""
        return sum(Path(file).name.startswith(".") for file in self.files())


@dataclass
class S3StoreFixture:
    """A store in S3, by some engine, on some server."""

    server: S3Server
    bucket: str
    engine: str = "aioboto3"

    def open(self, **settings: Any) -> ObjectStore:  # noqa: ANN401  # as Settings takes them
        """See `Kit.open`."""
        return ENGINES[self.engine](Settings(bucket=self.bucket, **settings))

    def open_reader(self) -> ObjectReader:
        """Make one that lists two objects a page."""
        return S3Reader(Settings(bucket=self.bucket), page_objects=2)

    def read(self, key: str) -> tuple[bytes, str, dict[str, str]]:
        """See `Kit.read`."""
        answer = self.server.client.get_object(Bucket=self.bucket, Key=key)
        return answer["Body"].read(), answer["ContentType"], answer["Metadata"]

    def head(self, key: str) -> Any:  # noqa: ANN401  # boto3 has no types
        """Return all that HeadObject says."""
        return self.server.client.head_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED")

    def keys(self) -> set[str]:
        """See `Kit.keys`."""
        answer = self.server.client.list_objects_v2(Bucket=self.bucket)
        return {found["Key"] for found in answer.get("Contents", [])}

    def open_uploads(self) -> int:
        """See `Kit.open_uploads`."""
        answer = self.server.client.list_multipart_uploads(Bucket=self.bucket)
        return len(answer.get("Uploads", []))
