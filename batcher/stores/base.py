"""ObjectStore and ObjectReader: the interfaces to a place for objects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol, cast

from msgspec import Struct
from msgspec.structs import replace

from batcher.limits import MAX_PARTS
from batcher.stores.request import (
    ObjectAttributes,
    ObjectInfo,
    Operation,
    Request,
    Response,
    RetryLog,
    UploadPart,
)

if TYPE_CHECKING:
    from batcher.concurrency import WorkerSlots

__all__ = [
    "CommonPrefix",
    "EngineStore",
    "ListEntry",
    "MultipartUpload",
    "ObjectAttributes",
    "ObjectBody",
    "ObjectInfo",
    "ObjectReader",
    "ObjectStore",
    "OpenUpload",
]


class ObjectStore(ABC):
    """A place for objects. A PUT is conditional: it creates, or replaces a named version.

    Objects that hold records are only ever created. The marks of a replay replace a version.

    A multipart upload is for a fresh key, which no other writer and no redelivery can write.

    A store implements `send` and `aclose`. The other methods build the requests.
    """

    @abstractmethod
    async def send(self, request: Request) -> Response:
        """Send one request. An object is durable on return, or does not exist.

        Raises:
            PreconditionFailedError: the key is taken, or its ETag is not `if_match`.
            UploadLostError: the upload does not exist any more, perhaps because an earlier call
                has completed it: its parts are of no use.
            RetryableError: the outcome is unknown or the store is busy; retry with the same bytes.
            RejectedError: the store refuses, and will again; the message says what to do.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close connections. Objects stay."""

    @property
    def parallel_parts(self) -> int:
        """How many parts of one upload are worth sending at once. 0: it takes no uploads."""
        return MAX_PARTS

    async def put(
        self,
        key: str,
        body: bytes,
        attributes: ObjectAttributes,
        *,
        if_match: str | None = None,
        deadline_s: float | None = None,
    ) -> ObjectInfo:
        """Write one object; see `send` and the fields of `Request`."""
        request = Request(
            Operation.PUT,
            key,
            body=body,
            attributes=attributes,
            if_match=if_match,
            deadline_s=deadline_s,
        )
        return cast("ObjectInfo", await self.send(request))

    async def head(
        self, key: str, *, deadline_s: float | None = None, slots: WorkerSlots | None = None
    ) -> ObjectInfo | None:
        """Return an object's ETag, size and metadata, or None if the key is free; see `send`."""
        request = Request(Operation.HEAD, key, deadline_s=deadline_s, slots=slots)
        return cast("ObjectInfo | None", await self.send(request))

    async def read_range(  # the range, and the limits of a request
        self,
        key: str,
        start: int,
        stop: int,
        *,
        deadline_s: float | None = None,
        slots: WorkerSlots | None = None,
    ) -> bytes | None:
        """Return the bytes of an object's body from `start` up to, but not including, `stop`.

        None: the key is free, or this store cannot read. Both must be within the body.
        """
        request = Request(
            Operation.READ, key, start=start, stop=stop, deadline_s=deadline_s, slots=slots
        )
        return cast("bytes | None", await self.send(request))

    async def create_upload(
        self,
        key: str,
        attributes: ObjectAttributes,
        *,
        part_bytes: int,
        deadline_s: float | None = None,
        slots: WorkerSlots | None = None,
    ) -> MultipartUpload:
        """Open a multipart upload of a fresh key; see `send` and the fields of `Request`."""
        request = Request(
            Operation.CREATE_UPLOAD,
            key,
            attributes=attributes,
            part_bytes=part_bytes,
            deadline_s=deadline_s,
            slots=slots,
            retry_log=RetryLog(key),
        )
        upload_id = cast("str", await self.send(request))
        return MultipartUpload(self, request, upload_id)


class MultipartUpload:
    """A multipart upload that is open. No object exists before `complete`."""

    def __init__(self, store: ObjectStore, request: Request, upload_id: str) -> None:
        """Continue the upload that `request` has opened in `store`."""
        self.deadline_s: float | None = request.deadline_s
        """When the results of the next requests must be known; see `Request.deadline_s`."""
        self._store = store
        self._request = replace(request, upload_id=upload_id)
        self._parts: dict[int, UploadPart] = {}

    async def put_part(self, number: int, body: bytes) -> None:
        """Send part `number`, from 1. All but the last have the size given at the creation.

        Parts are sent in order, at most `ObjectStore.parallel_parts` at once. They do not release
        the worker slot while they wait: a batch has one slot, however many of its parts wait.

        Raises: see `ObjectStore.send`.
        """
        request = replace(
            self._request,
            operation=Operation.PUT_PART,
            part_number=number,
            body=body,
            deadline_s=self.deadline_s,
            slots=None,
        )
        self._parts[number] = cast("UploadPart", await self._store.send(request))

    def completion(self) -> Request:
        """Return the request that makes the object appear."""
        return replace(
            self._request,
            operation=Operation.COMPLETE_UPLOAD,
            parts=[self._parts[number] for number in sorted(self._parts)],
            deadline_s=self.deadline_s,
        )

    async def complete(self) -> ObjectInfo:
        """Make the object appear, whole; see `ObjectStore.send`."""
        return cast("ObjectInfo", await self._store.send(self.completion()))

    async def abort(self) -> None:
        """Discard all parts. Call it when no part is in flight any more."""
        request = replace(
            self._request, operation=Operation.ABORT_UPLOAD, deadline_s=self.deadline_s
        )
        await self._store.send(request)


class EngineStore(ObjectStore):
    """A store that carries requests out itself, in one method per operation."""

    async def send(self, request: Request) -> Response:  # noqa: PLR0911  # one per operation
        """Carry out one request; see `ObjectStore.send`."""
        match request.operation:
            case Operation.PUT:
                return await self._put(request)
            case Operation.HEAD:
                return await self._head(request)
            case Operation.READ:
                return await self._read(request)
            case Operation.CREATE_UPLOAD:
                return await self._create_upload(request)
            case Operation.PUT_PART:
                return await self._put_part(request)
            case Operation.COMPLETE_UPLOAD:
                return await self._complete_upload(request)
            case Operation.ABORT_UPLOAD:
                await self._abort_upload(request)
                return None

    @abstractmethod
    async def _put(self, request: Request) -> ObjectInfo: ...

    @abstractmethod
    async def _head(self, request: Request) -> ObjectInfo | None: ...

    async def _read(self, request: Request) -> bytes | None:
        """Return the bytes of a range, or None: a store need not read."""
        del request
        return None

    @abstractmethod
    async def _create_upload(self, request: Request) -> str: ...

    @abstractmethod
    async def _put_part(self, request: Request) -> UploadPart: ...

    @abstractmethod
    async def _complete_upload(self, request: Request) -> ObjectInfo: ...

    @abstractmethod
    async def _abort_upload(self, request: Request) -> None: ...


class ListEntry(Struct, frozen=True):
    """An object as a listing shows it."""

    key: str
    size_bytes: int
    etag: str
    modified_s: float
    """When it was written, in seconds since 1970."""
    fault: str = ""
    """Why it is not an object and cannot be opened, such as a FIFO on disk. Empty for an object."""


class CommonPrefix(Struct, frozen=True):
    """A folder: the common start of some objects' keys, up to a slash."""

    prefix: str
    """From the start of the key up to and including the slash."""


class OpenUpload(Struct, frozen=True):
    """A multipart upload that is open. Its parts cost money, and no reader sees them."""

    key: str
    started_s: float
    """When it was opened, in seconds since 1970."""
    is_file: bool = False
    """Whether it is a temporary file on disk. `started_s` is then when it was last written."""


class ObjectBody(Struct, frozen=True):
    """An object that is being read."""

    info: ObjectInfo
    content_type: str
    pieces: AsyncIterator[bytes]
    """The body in pieces, as stored (perhaps compressed). It can be read once."""


class ObjectReader(Protocol):
    """A place whose objects are read: what `verify`, `replay` and `cat` need."""

    def list_objects(self, prefix: str) -> AsyncIterator[ListEntry]:
        """Return every object whose key starts with `prefix`; errors as in `ObjectStore.send`.

        On disk it also returns what is not a regular file, and folders that cannot be listed, each
        with its `fault`.
        """

    def list_folder(self, prefix: str) -> AsyncGenerator[ListEntry | CommonPrefix, None]:
        """Return the objects and folders directly under `prefix`, in any order.

        Objects are those whose keys have no slash after `prefix`. Every other key belongs to a
        folder, which is returned once. The cost does not depend on how much is in the folders.
        With files on disk a folder may be empty. Errors as in `list_objects`.
        """

    def list_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        """Return every multipart upload that is open under `prefix`."""

    def open_object(self, key: str) -> AbstractAsyncContextManager[ObjectBody]:
        """Open one object for reading within the `async with`.

        Raises, also while the pieces are read:
            NotFoundError: there is no such object.
            RetryableError: the store is busy, or the body ended early; read again from the start.
            RejectedError: the store refuses, and will again.
        """

    async def aclose(self) -> None:
        """Close connections."""


class BucketReader(ObjectReader, Protocol):
    """A reader of S3, which can continue in the middle of an object."""

    def open_object(
        self, key: str, *, start: int = 0, etag: str = ""
    ) -> AbstractAsyncContextManager[ObjectBody]:
        """Open one object; see `ObjectReader.open_object`.

        Args:
            key: of the object.
            start: the first byte to read. The size in `ObjectBody.info` is that of the whole.
            etag: of the object that is meant, or nothing.

        Raises:
            PreconditionFailedError: the object has another ETag by now.
        """
