"""MemoryStore: objects in a dict; for tests and dry runs, under the same contract as S3."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256

from batcher.errors import NotFoundError, PreconditionFailedError, RejectedError, UploadLostError
from batcher.limits import MAX_PARTS, MIN_PART_BYTES
from batcher.stores.base import (
    CommonPrefix,
    ListEntry,
    ObjectAttributes,
    ObjectBody,
    ObjectInfo,
    OpenUpload,
)

PIECE_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class MemoryObject:
    """One object."""

    body: bytes
    attributes: ObjectAttributes
    info: ObjectInfo


class MemoryStore:
    """Keeps objects until it is dropped; `objects` may be read at any time."""

    def __init__(self) -> None:
        """Start empty."""
        self.objects: dict[str, MemoryObject] = {}
        self.uploads: set[MemoryUpload] = set()
        """The multipart uploads that are open."""

    async def put(
        self, key: str, body: bytes, attributes: ObjectAttributes, *, if_match: str | None = None
    ) -> ObjectInfo:
        """Store one object; see `ObjectStore.put`."""
        return self._put(key, bytes(body), attributes, if_match)

    def _put(
        self, key: str, body: bytes, attributes: ObjectAttributes, if_match: str | None
    ) -> ObjectInfo:
        there = self.objects.get(key)
        if (None if there is None else there.info.etag) != if_match:
            msg = f"{key}: the key holds {there.info if there else 'nothing'}"
            raise PreconditionFailedError(msg)
        digest = sha256(body + repr(sorted(attributes.metadata.items())).encode()).hexdigest()
        stored = ObjectInfo(digest[:32], len(body), dict(attributes.metadata))
        self.objects[key] = MemoryObject(body, attributes, stored)
        return stored

    async def head(self, key: str) -> ObjectInfo | None:
        """Look at an object; see `ObjectStore.head`."""
        there = self.objects.get(key)
        return None if there is None else there.info

    async def create_upload(
        self, key: str, attributes: ObjectAttributes, *, part_bytes: int
    ) -> MemoryUpload:
        """Open a multipart upload; see `ObjectStore.create_upload`."""
        upload = MemoryUpload(self, key, attributes, part_bytes)
        self.uploads.add(upload)
        return upload

    async def list_objects(self, prefix: str) -> AsyncIterator[ListEntry]:
        """Return objects in the order of their keys; see `ObjectReader.list_objects`."""
        for key in sorted(self.objects):
            if key.startswith(prefix) and (there := self.objects.get(key)) is not None:
                yield ListEntry(key, there.info.size_bytes, there.info.etag, 0.0)

    async def list_folder(self, prefix: str) -> AsyncGenerator[ListEntry | CommonPrefix, None]:
        """Return objects and folders by key; see `ObjectReader.list_folder`."""
        given = ""
        async for listed in self.list_objects(prefix):
            folder, slash, _ = listed.key.removeprefix(prefix).partition("/")
            if not slash:
                yield listed
            elif (found := f"{prefix}{folder}/") != given:
                yield CommonPrefix(found)
                given = found

    async def list_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        """Return open uploads; see `ObjectReader.list_uploads`."""
        for key in sorted(upload.key for upload in self.uploads):
            if key.startswith(prefix):
                yield OpenUpload(key, 0.0)

    @asynccontextmanager
    async def open_object(self, key: str) -> AsyncIterator[ObjectBody]:
        """Open one object; see `ObjectReader.reading`."""
        there = self.objects.get(key)
        if there is None:
            msg = f"{key}: there is no such object"
            raise NotFoundError(msg)
        yield ObjectBody(there.info, there.attributes.content_type, _iter_pieces(there.body))

    async def aclose(self) -> None:
        """Do nothing: the objects stay."""


@dataclass(eq=False, slots=True)
class MemoryUpload:
    """A multipart upload; refuses what S3 refuses."""

    store: MemoryStore
    key: str
    attributes: ObjectAttributes
    part_bytes: int
    parts: dict[int, bytes] = field(default_factory=dict)

    async def put_part(self, number: int, body: bytes) -> None:
        """Keep part `number`; see `Upload.put_part`."""
        self._check_open()
        if not 1 <= number <= MAX_PARTS:
            msg = f"{self.key}: part {number} of an upload that cannot take it"
            raise RejectedError(msg)
        self.parts[number] = bytes(body)

    async def complete(self, *, if_match: str | None = None) -> ObjectInfo:
        """Make the object appear; see `Upload.complete`."""
        self._check_open()
        bodies = [self.parts[number] for number in sorted(self.parts)]
        if not bodies or any(len(body) < MIN_PART_BYTES for body in bodies[:-1]):
            msg = f"{self.key}: a part but the last is smaller than {MIN_PART_BYTES} bytes"
            raise RejectedError(msg)
        stored = self.store._put(self.key, b"".join(bodies), self.attributes, if_match)  # noqa: SLF001  # its own store
        self.store.uploads.discard(self)
        return stored

    async def abort(self) -> None:
        """Throw the parts away; see `Upload.abort`."""
        self.store.uploads.discard(self)

    def _check_open(self) -> None:
        if self not in self.store.uploads:
            msg = f"{self.key}: the upload is not open any more"
            raise UploadLostError(msg)


async def _iter_pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]
