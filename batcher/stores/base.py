"""ObjectStore and ObjectReader: the few things batcher needs of a place for objects."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct, field


class ObjectAttributes(Struct, frozen=True):
    """What an object carries beside its body."""

    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)


class ObjectInfo(Struct, frozen=True):
    """An object as the store has it."""

    etag: str
    """Report this body at this key from any other; opaque."""
    size_bytes: int
    metadata: Mapping[str, str] = field(default_factory=dict)


class MultipartUpload(Protocol):
    """A multipart upload that is open: no object exists before `complete`."""

    async def put_part(self, number: int, body: bytes) -> None:
        """Send part `number`, from 1; all but the last have the size given at the start.

        Raises as `complete`, but for the precondition. Safe to call side by side.
        """

    async def complete(self, *, if_match: str | None = None) -> ObjectInfo:
        """Make the object appear, whole; conditions and errors are those of `ObjectStore.put`.

        Raises:
            UploadLostError: the upload is gone, perhaps because an earlier call has completed it,
                or has lost a race: its parts are of no use any more.
        """

    async def abort(self) -> None:
        """Throw all parts away; call it when no part is in flight any more."""


class ObjectStore(Protocol):
    """A place for objects. Every write is conditional: it creates, or replaces what it names."""

    async def put(
        self, key: str, body: bytes, attributes: ObjectAttributes, *, if_match: str | None = None
    ) -> ObjectInfo:
        """Store one object, durable on return, or nothing.

        Args:
            key: its full name, at most 1,024 bytes.
            body: all its bytes.
            about: what it carries beside them.
            replaces: the ETag of the object that may be replaced; None: the key must be free.

        Raises:
            PreconditionFailedError: the key is taken, or has another ETag than `replaces`.
            RetryableError: the outcome is unknown or the store is busy; the same bytes may go.
            RejectedError: the store refuses, and will again; the message says what to do.
        """

    async def head(self, key: str) -> ObjectInfo | None:
        """Look at an object, or give None where the key is free. Errors as in `put`."""

    async def create_upload(
        self, key: str, attributes: ObjectAttributes, *, part_bytes: int
    ) -> MultipartUpload:
        """Open a multipart upload whose parts, all but the last, have `part_bytes` bytes."""

    async def aclose(self) -> None:
        """Let go of connections; objects stay."""


class ListEntry(Struct, frozen=True):
    """An object as a listing shows it."""

    key: str
    size_bytes: int
    etag: str
    modified_s: float
    """When it was written, in seconds since 1970."""


class CommonPrefix(Struct, frozen=True):
    """What the keys of some objects start with, up to a slash."""

    prefix: str
    """From the start of the key to the slash, which is its last character."""


class OpenUpload(Struct, frozen=True):
    """A multipart upload that is open: its parts cost money, and no reader sees them."""

    key: str
    started_s: float
    """When it was opened, in seconds since 1970."""


class ObjectBody(Struct, frozen=True):
    """An object that is being read."""

    info: ObjectInfo
    content_type: str
    pieces: AsyncIterator[bytes]
    """The body, some bytes at a time, as it lies in the store; to be read once."""


class ObjectReader(Protocol):
    """A place whose objects are read back: what `verify`, `replay` and `cat` need."""

    def list_objects(self, prefix: str) -> AsyncIterator[ListEntry]:
        """Return every object whose key starts with `prefix`; errors as in `ObjectStore.put`."""

    def list_folder(self, prefix: str) -> AsyncGenerator[ListEntry | CommonPrefix, None]:
        """Return what lies directly under `prefix`, in any order; errors as in `list_objects`.

        These are the objects whose keys have no slash after `prefix`, and, each once, the folders
        that all other keys go on with; what is in a folder costs nothing. A folder of files may
        turn out to be empty.
        """

    def list_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        """Return every multipart upload that is open under `prefix`."""

    def open_object(self, key: str) -> AbstractAsyncContextManager[ObjectBody]:
        """Open one object, to be read while this is entered.

        Raises, also while the pieces are read:
            NotFoundError: there is no such object.
            RetryableError: the store is busy, or the body ended early; to be read from its start.
            RejectedError: the store refuses.
        """

    async def aclose(self) -> None:
        """Let go of connections."""
