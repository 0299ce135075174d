"""MemoryStore: objects in a dict; for tests and dry runs, under the same contract as S3."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256

from batcher.errors import NotFoundError, PreconditionFailedError, RejectedError, UploadLostError
from batcher.limits import MAX_PARTS, MIN_PART_BYTES
from batcher.stores.base import About, Dangling, Folder, Listed, Opened, Stored

PIECE_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class MemoryObject:
    """One object."""

    body: bytes
    about: About
    stored: Stored


class MemoryStore:
    """Keeps objects until it is dropped; `objects` may be read at any time."""

    def __init__(self) -> None:
        """Start empty."""
        self.objects: dict[str, MemoryObject] = {}
        self.uploads: set[MemoryUpload] = set()
        """The multipart uploads that are open."""

    async def put(
        self, key: str, body: bytes, about: About, *, replaces: str | None = None
    ) -> Stored:
        """Store one object; see `ObjectStore.put`."""
        return self._put(key, bytes(body), about, replaces)

    def _put(self, key: str, body: bytes, about: About, replaces: str | None) -> Stored:
        there = self.objects.get(key)
        if (None if there is None else there.stored.etag) != replaces:
            msg = f"{key}: the key holds {there.stored if there else 'nothing'}"
            raise PreconditionFailedError(msg)
        digest = sha256(body + repr(sorted(about.metadata.items())).encode()).hexdigest()
        stored = Stored(digest[:32], len(body), dict(about.metadata))
        self.objects[key] = MemoryObject(body, about, stored)
        return stored

    async def head(self, key: str) -> Stored | None:
        """Look at an object; see `ObjectStore.head`."""
        there = self.objects.get(key)
        return None if there is None else there.stored

    async def create_upload(self, key: str, about: About, *, part_bytes: int) -> MemoryUpload:
        """Open a multipart upload; see `ObjectStore.create_upload`."""
        upload = MemoryUpload(self, key, about, part_bytes)
        self.uploads.add(upload)
        return upload

    async def list_objects(self, prefix: str) -> AsyncIterator[Listed]:
        """Give objects in the order of their keys; see `ObjectReader.list_objects`."""
        for key in sorted(self.objects):
            if key.startswith(prefix) and (there := self.objects.get(key)) is not None:
                yield Listed(key, there.stored.size_bytes, there.stored.etag, 0.0)

    async def list_folder(self, prefix: str) -> AsyncGenerator[Listed | Folder, None]:
        """Give objects and folders by key; see `ObjectReader.list_folder`."""
        given = ""
        async for listed in self.list_objects(prefix):
            folder, slash, _ = listed.key.removeprefix(prefix).partition("/")
            if not slash:
                yield listed
            elif (found := f"{prefix}{folder}/") != given:
                yield Folder(found)
                given = found

    async def list_uploads(self, prefix: str) -> AsyncIterator[Dangling]:
        """Give open uploads; see `ObjectReader.list_uploads`."""
        for key in sorted(upload.key for upload in self.uploads):
            if key.startswith(prefix):
                yield Dangling(key, 0.0)

    @asynccontextmanager
    async def reading(self, key: str) -> AsyncIterator[Opened]:
        """Open one object; see `ObjectReader.reading`."""
        there = self.objects.get(key)
        if there is None:
            msg = f"{key}: there is no such object"
            raise NotFoundError(msg)
        yield Opened(there.stored, there.about.content_type, _pieces(there.body))

    async def aclose(self) -> None:
        """Do nothing: the objects stay."""


@dataclass(eq=False, slots=True)
class MemoryUpload:
    """A multipart upload; refuses what S3 refuses."""

    store: MemoryStore
    key: str
    about: About
    part_bytes: int
    parts: dict[int, bytes] = field(default_factory=dict)

    async def put_part(self, number: int, body: bytes) -> None:
        """Keep part `number`; see `Upload.put_part`."""
        self._must_be_open()
        if not 1 <= number <= MAX_PARTS:
            msg = f"{self.key}: part {number} of an upload that cannot take it"
            raise RejectedError(msg)
        self.parts[number] = bytes(body)

    async def complete(self, *, replaces: str | None = None) -> Stored:
        """Make the object appear; see `Upload.complete`."""
        self._must_be_open()
        bodies = [self.parts[number] for number in sorted(self.parts)]
        if not bodies or any(len(body) < MIN_PART_BYTES for body in bodies[:-1]):
            msg = f"{self.key}: a part but the last is smaller than {MIN_PART_BYTES} bytes"
            raise RejectedError(msg)
        stored = self.store._put(self.key, b"".join(bodies), self.about, replaces)  # noqa: SLF001  # its own store
        self.store.uploads.discard(self)
        return stored

    async def abort(self) -> None:
        """Throw the parts away; see `Upload.abort`."""
        self.store.uploads.discard(self)

    def _must_be_open(self) -> None:
        if self not in self.store.uploads:
            msg = f"{self.key}: the upload is not open any more"
            raise UploadLostError(msg)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]
