"""Stores under test, with independent access to their objects."""

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
from batcher.stores.base import BucketReader
from batcher.stores.custom import CustomUpload
from batcher.stores.file import FileStore
from batcher.stores.file_reader import FileReader
from batcher.stores.memory import MemoryStore
from batcher.stores.obstore.reader import ObstoreReader
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
"""The S3 engines, without wrappers."""

READERS: Mapping[str, Callable[..., BucketReader]] = {
    "aioboto3": S3Reader,
    "obstore": ObstoreReader,
}
"""The readers of the S3 engines."""


class StoreFixture(Protocol):
    """A store under test, with access to its objects that does not use the store."""

    def open(self) -> ObjectStore:
        """Open a store. All stores of one fixture have the same objects."""

    def open_reader(self) -> ObjectReader:
        """Open a reader of the same objects."""

    def read(self, key: str) -> tuple[bytes, str, dict[str, str]]:
        """Return an object's body, Content-Type and metadata."""

    def keys(self) -> set[str]:
        """Return the keys of all objects."""

    def open_uploads(self) -> int:
        """Count the open multipart uploads."""


@dataclass
class MemoryStoreFixture:
    """A `MemoryStore`."""

    store: MemoryStore

    def open(self) -> ObjectStore:
        """Return the store."""
        return self.store

    def open_reader(self) -> ObjectReader:
        """Return the store, which is its own reader."""
        return self.store

    def read(self, key: str) -> tuple[bytes, str, dict[str, str]]:
        """See `StoreFixture.read`."""
        stored = self.store.objects[key]
        return stored.body, stored.attributes.content_type, dict(stored.info.metadata)

    def keys(self) -> set[str]:
        """See `StoreFixture.keys`."""
        return set(self.store.objects)

    def open_uploads(self) -> int:
        """See `StoreFixture.open_uploads`."""
        return len(self.store.uploads)


@dataclass
class RateLimitedStoreFixture(MemoryStoreFixture):
    """A `MemoryStore` with a rate limit."""

    def open(self) -> ObjectStore:
        """Wrap the store in a new rate limiter."""
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
        """See `StoreFixture.open`."""
        return FileStore(self.folder)

    def open_reader(self) -> ObjectReader:
        """See `StoreFixture.open_reader`."""
        return FileReader(self.folder)

    def read(self, key: str) -> tuple[bytes, str, dict[str, str]]:
        """See `StoreFixture.read`."""
        meta = orjson.loads((self.folder / ".meta" / f"{key}.json").read_bytes())
        return (self.folder / key).read_bytes(), meta["content_type"], meta["metadata"]

    def files(self) -> set[str]:
        """Return the relative path of every file under the folder."""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)) for path in paths}

    def keys(self) -> set[str]:
        """See `StoreFixture.keys`."""
        return {f for f in self.files() if not Path(f).name.startswith(".") and f[:6] != ".meta/"}

    def open_uploads(self) -> int:
        """Count the temporary files, which are the parts of open uploads."""
        return sum(Path(file).name.startswith(".") for file in self.files())


@dataclass
class S3StoreFixture:
    """A bucket on a server, written to and read by one engine."""

    server: S3Server
    bucket: str
    engine: str = "obstore"

    def open(self, **settings: Any) -> ObjectStore:  # noqa: ANN401  # as Settings takes them
        """See `StoreFixture.open`."""
        return ENGINES[self.engine](Settings(bucket=self.bucket, **settings))

    def open_reader(self) -> ObjectReader:
        """Open a reader that lists two objects per page."""
        return READERS[self.engine](Settings(bucket=self.bucket), page_objects=2)

    def read(self, key: str) -> tuple[bytes, str, dict[str, str]]:
        """See `StoreFixture.read`."""
        response = self.server.client.get_object(Bucket=self.bucket, Key=key)
        return response["Body"].read(), response["ContentType"], response["Metadata"]

    def head(self, key: str) -> Any:  # noqa: ANN401  # boto3 has no types
        """Return the response of HeadObject."""
        return self.server.client.head_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED")

    def keys(self) -> set[str]:
        """See `StoreFixture.keys`."""
        response = self.server.client.list_objects_v2(Bucket=self.bucket)
        return {entry["Key"] for entry in response.get("Contents", [])}

    def open_uploads(self) -> int:
        """See `StoreFixture.open_uploads`."""
        response = self.server.client.list_multipart_uploads(Bucket=self.bucket)
        return len(response.get("Uploads", []))
