"""CustomStore: a caller's own store, with a method per operation instead of `send`."""

from __future__ import annotations

from itertools import count
from typing import Protocol

from batcher.stores.base import EngineStore
from batcher.stores.request import ObjectAttributes, ObjectInfo, Request, UploadPart


class CustomUpload(Protocol):
    """A multipart upload of a caller's own store; see `batcher.stores.base.MultipartUpload`."""

    async def put_part(self, number: int, body: bytes) -> object:
        """Send part `number`, from 1."""

    async def complete(self) -> ObjectInfo:
        """Make the object appear, whole. Its key is fresh."""

    async def abort(self) -> object:
        """Discard all parts."""


class CustomStore(Protocol):
    """A caller's own store; see `batcher.stores.base.ObjectStore` for arguments and errors.

    It may have a method `read_range(key, start, stop)` as well, which returns bytes of a body.
    Without it, a shorter redelivery of a large event of a stream writes its records twice.
    """

    async def put(
        self, key: str, body: bytes, attributes: ObjectAttributes, *, if_match: str | None = None
    ) -> ObjectInfo:
        """Write one object."""

    async def head(self, key: str) -> ObjectInfo | None:
        """Return an object's ETag, size and metadata, or None if the key is free."""

    async def create_upload(
        self, key: str, attributes: ObjectAttributes, *, part_bytes: int
    ) -> CustomUpload:
        """Open a multipart upload."""

    async def aclose(self) -> object:
        """Close connections."""


class CustomStoreAdapter(EngineStore):
    """Carries out requests by calling the methods of a `CustomStore`."""

    def __init__(self, inner: CustomStore) -> None:
        """Call the methods of `inner`."""
        self.inner = inner
        self._uploads: dict[str, CustomUpload] = {}
        self._next_upload_id = count(1)

    def __repr__(self) -> str:
        return repr(self.inner)

    async def aclose(self) -> None:
        """Close the inner store."""
        await self.inner.aclose()

    async def _put(self, request: Request) -> ObjectInfo:
        return await self.inner.put(
            request.key, request.body, request.attributes, if_match=request.if_match
        )

    async def _head(self, request: Request) -> ObjectInfo | None:
        return await self.inner.head(request.key)

    async def _read(self, request: Request) -> bytes | None:
        read_range = getattr(self.inner, "read_range", None)
        if read_range is None:
            return None
        found: bytes | None = await read_range(request.key, request.start, request.stop)
        return found

    async def _create_upload(self, request: Request) -> str:
        upload = await self.inner.create_upload(
            request.key, request.attributes, part_bytes=request.part_bytes
        )
        upload_id = str(next(self._next_upload_id))
        self._uploads[upload_id] = upload
        return upload_id

    async def _put_part(self, request: Request) -> UploadPart:
        await self._uploads[request.upload_id].put_part(request.part_number, request.body)
        return UploadPart(request.part_number, len(request.body))

    async def _complete_upload(self, request: Request) -> ObjectInfo:
        info = await self._uploads[request.upload_id].complete()
        self._uploads.pop(request.upload_id, None)
        return info

    async def _abort_upload(self, request: Request) -> None:
        upload = self._uploads.get(request.upload_id)
        if upload is not None:
            await upload.abort()
            self._uploads.pop(request.upload_id, None)
