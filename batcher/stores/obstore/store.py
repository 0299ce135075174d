"""ObstoreStore: objects in Amazon S3 with obstore, which takes a fraction of aioboto3's CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import obstore

from batcher.errors import RejectedError
from batcher.stores.base import ObjectInfo, ObjectStore
from batcher.stores.obstore.client import HEADER_ATTRIBUTES, ObstoreClient
from batcher.stores.request import Operation, Request, Response

if TYPE_CHECKING:
    from batcher.settings import Settings


class ObstoreStore(ObjectStore):
    """Writes objects with a checksum that S3 verifies. Connects at its first request.

    A cancelled request closes its connection. S3 may still carry it out if it has received all of
    it. The condition makes that harmless, as with every late request.

    Multipart uploads use aioboto3's `S3Store`, which is imported when the first one is opened:
    obstore cannot complete an upload under a condition, abort one, or retry a part. See
    docs/decisions/0004.
    """

    def __init__(self, settings: Settings) -> None:
        """Write to `settings.bucket`, with the settings' headers on every object.

        Raises:
            SettingsError: obstore cannot send a header unchanged, or cannot address the bucket.
        """
        self.bucket = settings.bucket
        self._settings = settings
        self._attributes = (
            {"Storage-Class": settings.storage_class} if settings.storage_class else {}
        )
        self._tags = dict(settings.tags) or None
        self._client = ObstoreClient(settings)
        self._multipart_store: ObjectStore | None = None

    def __repr__(self) -> str:
        return f"ObstoreStore({self.bucket!r})"

    async def send(self, request: Request) -> Response:
        """Send one request, those of multipart uploads with aioboto3; see `ObjectStore.send`."""
        if request.operation is Operation.PUT:
            return await self._put(request)
        if request.operation is Operation.HEAD:
            return await self._head(request)
        if self._multipart_store is None:
            self._multipart_store = self._open_multipart_store(request.key)
        return await self._multipart_store.send(request)

    async def _put(self, request: Request) -> ObjectInfo:
        attributes = request.attributes
        headers = {
            **self._attributes,
            **attributes.metadata,
            "Content-Type": attributes.content_type,
        }
        async with self._client.call("PutObject", request.key) as client:
            response = await obstore.put_async(
                client,
                request.key,
                request.body,
                attributes=headers,
                tags=self._tags,
                mode="create" if request.if_match is None else {"e_tag": request.if_match},
            )
        return ObjectInfo(response["e_tag"] or "", len(request.body), attributes.metadata)

    async def _head(self, request: Request) -> ObjectInfo | None:
        try:
            async with self._client.call("HeadObject", request.key) as client:
                # Not `head_async`, which leaves the metadata out
                response = await obstore.get_async(client, request.key, options={"head": True})
        except KeyError:
            return None
        metadata = {
            name: value
            for name, value in response.attributes.items()
            if name.lower() not in HEADER_ATTRIBUTES
        }
        return ObjectInfo(response.meta["e_tag"] or "", response.meta["size"], metadata)

    def _open_multipart_store(self, key: str) -> ObjectStore:
        """Return the store for multipart uploads. A package for Lambda may lack its library."""
        try:
            from batcher.stores.s3.store import S3Store as MultipartStore  # noqa: PLC0415  # slow
        except ModuleNotFoundError as error:
            if error.name != "aioboto3":
                raise
            msg = (
                f"CreateMultipartUpload s3://{self.bucket}/{key}: bodies of multipart_threshold "
                f"({self._settings.multipart_threshold} bytes) and more go up by aioboto3, and "
                "aioboto3 is not installed; raise multipart_threshold (5GiB at most), or install it"
            )
            raise RejectedError(msg) from error
        return MultipartStore(self._settings)

    async def aclose(self) -> None:
        """Close all connections: obstore's when no request uses them any more."""
        self._client.close()
        multipart_store, self._multipart_store = self._multipart_store, None
        if multipart_store is not None:
            await multipart_store.aclose()
