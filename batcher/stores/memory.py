"""MemoryStore: objects in a dict, for tests, with the same behaviour as S3.

It is public as `batcher.testing.MemoryStore`.
"""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count

from batcher.encoding.zstd import zstd
from batcher.errors import NotFoundError, PreconditionFailedError, RejectedError, UploadLostError
from batcher.keys.parse import parse_key
from batcher.limits import MAX_PARTS, MIN_PART_BYTES
from batcher.stores.base import (
    CommonPrefix,
    EngineStore,
    ListEntry,
    ObjectAttributes,
    ObjectBody,
    ObjectInfo,
    OpenUpload,
)
from batcher.stores.request import Request, UploadPart

PIECE_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class MemoryObject:
    """One object."""

    body: bytes
    attributes: ObjectAttributes
    info: ObjectInfo


@dataclass(slots=True)
class MemoryUpload:
    """A multipart upload that is open."""

    key: str
    parts: dict[int, bytes] = field(default_factory=dict)


class MemoryStore(EngineStore):
    """Keeps objects until it is dropped. Tests may read `objects` and `uploads` at any time."""

    def __init__(self) -> None:
        """Start empty."""
        self.objects: dict[str, MemoryObject] = {}
        self.uploads: dict[str, MemoryUpload] = {}
        """The multipart uploads that are open, by id."""
        self._next_upload_id = count(1)

    def read_text(self, key: str) -> bytes:
        """Return the text of an object, decompressed as its key's ending says.

        Raises:
            KeyError: there is no such object.
        """
        body = self.objects[key].body
        if key.endswith(".gz"):
            return gzip.decompress(body)
        return zstd.decompress(body) if key.endswith(".zst") else body

    def read_lines(self, fragment: str = "") -> list[bytes]:
        """Return the lines of all objects whose key contains `fragment`, in the order of keys."""
        keys = sorted(key for key in self.objects if fragment in key)
        return [line for key in keys for line in split_text(self.read_text(key))]

    def lines_by_partition(self, root: str = "") -> dict[str, list[bytes]]:
        """Return the lines of all objects under `root` by partition, such as `kind=a`.

        The partition of bad records is their folder, which begins with `_quarantine`.

        Raises:
            KeyParseError: an object under `root` was not written by batcher.
        """
        found: dict[str, list[bytes]] = defaultdict(list)
        prefix = f"{root}/" if root else ""
        for key in sorted(key for key in self.objects if key.startswith(prefix)):
            found[parse_key(key, root).partition] += split_text(self.read_text(key))
        return dict(found)

    async def _put(self, request: Request) -> ObjectInfo:
        return self._write(request, bytes(request.body))

    async def _head(self, request: Request) -> ObjectInfo | None:
        existing = self.objects.get(request.key)
        return None if existing is None else existing.info

    async def _read(self, request: Request) -> bytes | None:
        existing = self.objects.get(request.key)
        return None if existing is None else existing.body[request.start : request.stop]

    async def _create_upload(self, request: Request) -> str:
        upload_id = str(next(self._next_upload_id))
        self.uploads[upload_id] = MemoryUpload(request.key)
        return upload_id

    async def _put_part(self, request: Request) -> UploadPart:
        upload = self._get_upload(request)
        if not 1 <= request.part_number <= MAX_PARTS:
            msg = f"{request.key}: part {request.part_number}: a number is from 1 to {MAX_PARTS}"
            raise RejectedError(msg)
        upload.parts[request.part_number] = bytes(request.body)
        return UploadPart(request.part_number, len(request.body))

    async def _complete_upload(self, request: Request) -> ObjectInfo:
        upload = self._get_upload(request)
        bodies = [upload.parts[part.number] for part in request.parts]
        if not bodies or any(len(body) < MIN_PART_BYTES for body in bodies[:-1]):
            msg = f"{request.key}: a part but the last is smaller than {MIN_PART_BYTES} bytes"
            raise RejectedError(msg)
        info = self._write(request, b"".join(bodies))
        del self.uploads[request.upload_id]
        return info

    async def _abort_upload(self, request: Request) -> None:
        self.uploads.pop(request.upload_id, None)

    def _write(self, request: Request, body: bytes) -> ObjectInfo:
        """Write an object under the request's condition."""
        key, attributes = request.key, request.attributes
        existing = self.objects.get(key)
        if (None if existing is None else existing.info.etag) != request.if_match:
            msg = f"{key}: the key holds {existing.info if existing else 'nothing'}"
            raise PreconditionFailedError(msg)
        digest = sha256(body + repr(sorted(attributes.metadata.items())).encode()).hexdigest()
        info = ObjectInfo(digest[:32], len(body), dict(attributes.metadata))
        self.objects[key] = MemoryObject(body, attributes, info)
        return info

    def _get_upload(self, request: Request) -> MemoryUpload:
        upload = self.uploads.get(request.upload_id)
        if upload is None:
            msg = f"{request.key}: the upload is not open any more"
            raise UploadLostError(msg)
        return upload

    async def list_objects(self, prefix: str) -> AsyncIterator[ListEntry]:
        """Return objects by key; see `ObjectReader.list_objects`."""
        for key in sorted(self.objects):
            if key.startswith(prefix) and (found := self.objects.get(key)) is not None:
                yield ListEntry(key, found.info.size_bytes, found.info.etag, 0.0)

    async def list_folder(self, prefix: str) -> AsyncGenerator[ListEntry | CommonPrefix, None]:
        """Return objects and folders by key; see `ObjectReader.list_folder`."""
        last_prefix = ""
        async for listed in self.list_objects(prefix):
            folder, slash, _ = listed.key.removeprefix(prefix).partition("/")
            if not slash:
                yield listed
            elif (found := f"{prefix}{folder}/") != last_prefix:
                yield CommonPrefix(found)
                last_prefix = found

    async def list_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        """Return the open uploads; see `ObjectReader.list_uploads`."""
        for key in sorted(upload.key for upload in self.uploads.values()):
            if key.startswith(prefix):
                yield OpenUpload(key, 0.0)

    @asynccontextmanager
    async def open_object(self, key: str) -> AsyncIterator[ObjectBody]:
        """Open one object; see `ObjectReader.open_object`."""
        found = self.objects.get(key)
        if found is None:
            msg = f"{key}: there is no such object"
            raise NotFoundError(msg)
        yield ObjectBody(found.info, found.attributes.content_type, _iter_pieces(found.body))

    async def aclose(self) -> None:
        """Do nothing: the objects stay."""


def split_text(text: bytes) -> list[bytes]:
    """Return the lines of an object's text, without their newlines. A guard's text has none."""
    return text.removesuffix(b"\n").split(b"\n") if text else []


async def _iter_pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]
