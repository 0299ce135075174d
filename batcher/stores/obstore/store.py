"""ObstoreStore: objects in Amazon S3 with obstore, which takes a fraction of aioboto3's CPU."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import GenericError

from batcher.errors import NotFoundError, RejectedError, UploadLostError
from batcher.stores.base import EngineStore, ObjectInfo
from batcher.stores.credentials.source import RenewedCredentialsError, retry_if_renewed
from batcher.stores.obstore.client import HEADER_ATTRIBUTES, ObstoreClient
from batcher.stores.request import ABORT_TIMEOUT_S, Request, Response, UploadPart

if TYPE_CHECKING:
    from obstore import PutMode

    from batcher.settings import Settings
    from batcher.stores.obstore.upload import ObstoreUpload

RANGE_IGNORED = "Received non-partial response when range requested"
"""What obstore says if it gets the whole body instead of a range."""


class ObstoreStore(EngineStore):
    """Writes objects with a checksum that S3 verifies. Connects at its first request.

    A cancelled request closes its connection. S3 may still carry it out if it has received all of
    it. The condition makes that harmless, as with every late request.

    obstore carries out a multipart upload as one call, and does not give its id. So the ids here
    are our own, and an upload belongs to the store that has opened it. Its parts are sent one at a
    time, and it is completed without a condition: it is for fresh keys. See docs/decisions/0015.
    """

    def __init__(self, settings: Settings) -> None:
        """Write to `settings.bucket`, with the settings' headers on every object.

        Raises:
            SettingsError: obstore cannot send a header unchanged, or cannot address the bucket.
        """
        self.bucket: str = settings.bucket
        self._settings = settings
        self._attributes = (
            {"Storage-Class": settings.storage_class} if settings.storage_class else {}
        )
        self._tags = dict(settings.tags) or None
        self._client = self._put_client = ObstoreClient(settings)
        if settings.acl:
            headers = {"x-amz-acl": settings.acl}
            self._put_client = ObstoreClient(settings, source=self._client.source, headers=headers)
        self._upload_clients: dict[int, ObstoreClient] = {}
        """By the size of parts, on which their timeouts depend. As a rule there is one."""
        self._uploads: dict[str, ObstoreUpload] = {}
        self._upload_ids = count(1)

    @property
    def parallel_parts(self) -> int:
        """See `ObjectStore.parallel_parts`.

        None with an ACL: obstore would send it with every request of an upload, and S3 refuses it
        in UploadPart.
        """
        return 0 if self._settings.acl else 1

    def __repr__(self) -> str:
        return f"ObstoreStore({self.bucket!r})"

    async def send(self, request: Request) -> Response:
        """Carry out one request; see `ObjectStore.send`. Again, once, with renewed credentials."""
        return await retry_if_renewed(partial(super().send, request))

    async def _put(self, request: Request) -> ObjectInfo:
        mode: PutMode = "create" if self._settings.conditional_writes else "overwrite"
        if request.if_match is not None:
            mode = {"e_tag": request.if_match}
        async with self._put_client.call("PutObject", request.key) as client:
            response = await obstore.put_async(
                client,
                request.key,
                request.body,
                attributes=self._headers(request),
                tags=self._tags,
                mode=mode,
                use_multipart=False,
            )
        return ObjectInfo(response["e_tag"] or "", len(request.body), request.attributes.metadata)

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
        if not (etag := response.meta["e_tag"]):
            error = self._client.not_s3_error("HeadObject", request.key, "it has no ETag")
            raise error
        return ObjectInfo(etag, response.meta["size"], metadata)

    async def _read(self, request: Request) -> bytes | None:
        key, start, stop = request.key, request.start, request.stop
        try:
            async with self._client.call("GetObject", key) as client:
                try:
                    found = bytes(await obstore.get_range_async(client, key, start=start, end=stop))
                except GenericError as error:
                    if RANGE_IGNORED not in str(error):
                        raise
                    whole = await (await obstore.get_async(client, key)).bytes_async()
                    found = bytes(whole)[start:stop]
        except NotFoundError:
            return None
        if len(found) != stop - start:
            unusable = self._client.not_s3_error("GetObject", key, "it has not the range")
            raise unusable
        return found

    async def _create_upload(self, request: Request) -> str:
        """Open an upload. If this is cancelled, obstore aborts the upload as soon as it is open."""
        from batcher.stores.obstore.upload import (  # noqa: PLC0415  # for large objects
            CREATE,
            ObstoreUpload,
            make_client,
        )

        key, part_bytes = request.key, request.part_bytes
        upload_client = self._upload_clients.get(part_bytes)
        if upload_client is None:
            upload_client = make_client(self._settings, part_bytes, self._client.source)
            self._upload_clients[part_bytes] = upload_client
        client = await upload_client.connect(CREATE, key)
        upload = ObstoreUpload(
            key, lambda error, operation: upload_client.translate(error, operation, key)
        )
        upload_id = str(next(self._upload_ids))
        self._uploads[upload_id] = upload
        try:
            await upload.create(client, part_bytes, self._headers(request), self._tags)
        except BaseException as error:
            upload.call_at_end(lambda: self._uploads.pop(upload_id, None))
            if isinstance(error, RejectedError):
                raise await upload_client.answer_refusal(error, CREATE, key) from error
            raise
        return upload_id

    async def _put_part(self, request: Request) -> UploadPart:
        upload = self._find_upload(request)
        with request.timeout_paused():  # obstore limits it itself, and retries
            async with self._lost_if_renewed(request):
                await upload.put_part(request.part_number, request.body)
        return UploadPart(request.part_number, len(request.body))

    async def _complete_upload(self, request: Request) -> ObjectInfo:
        upload = self._find_upload(request)
        with request.timeout_paused():
            async with self._lost_if_renewed(request):
                etag = await upload.complete()
        self._uploads.pop(request.upload_id, None)
        size_bytes = sum(part.size_bytes for part in request.parts)
        return ObjectInfo(etag, size_bytes, request.attributes.metadata)

    async def _abort_upload(self, request: Request) -> None:
        """Abort an upload. One that does not exist any more is fine."""
        if upload := self._uploads.get(request.upload_id):
            await upload.abort()
            self._uploads.pop(request.upload_id, None)

    @asynccontextmanager
    async def _lost_if_renewed(self, request: Request) -> AsyncIterator[None]:
        """Raise `UploadLostError` if S3 has refused credentials, and there are new ones.

        obstore has given the upload up. It is to be opened again.
        """
        try:
            yield
        except RejectedError as refusal:
            error = await self._client.answer_refusal(refusal, request.label, request.key)
            if isinstance(error, RenewedCredentialsError):
                raise UploadLostError(str(error)) from refusal
            if error is refusal:
                raise
            raise error from refusal

    def _find_upload(self, request: Request) -> ObstoreUpload:
        upload = self._uploads.get(request.upload_id)
        if upload is None:
            msg = f"{request.label} {request.key}: the upload is complete or aborted"
            raise UploadLostError(msg)
        return upload

    def _headers(self, request: Request) -> dict[str, str]:
        """Return the object's headers and metadata, which obstore tells apart by their names."""
        attributes = request.attributes
        return {
            **self._attributes,
            **attributes.metadata,
            "Content-Type": attributes.content_type,
        }

    async def aclose(self) -> None:
        """Close all connections, when no request uses them any more. Abort uploads that are open.

        Those are uploads whose creation was cancelled before obstore had opened them.
        """
        aborts = [asyncio.ensure_future(upload.abort()) for upload in self._uploads.values()]
        if aborts:
            _, late = await asyncio.wait(aborts, timeout=ABORT_TIMEOUT_S)
            for abort in late:
                abort.cancel()
        self._uploads.clear()
        self._client.close()
        self._put_client.close()
        for client in self._upload_clients.values():
            client.close()
