"""S3Store: objects in Amazon S3, or a compatible endpoint, with aioboto3."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp
from msgspec.structs import replace

from batcher.concurrency import shielded
from batcher.encoding.codec import crc32
from batcher.errors import NotFoundError, RejectedError, RetryableError, UploadLostError
from batcher.stores.base import EngineStore, ObjectInfo
from batcher.stores.credentials.source import RenewedCredentialsError, retry_if_renewed
from batcher.stores.request import Request, Response, UploadPart
from batcher.stores.s3.client import S3Client

if TYPE_CHECKING:
    from batcher.settings import Settings

SWEEP_TIMEOUT_S = 5.0
"""The most that aborting a lost upload takes."""


MAX_SWEEPS, SWEEP_PAUSE_S = 3, 0.1
"""How often it is tried in that time: while S3 is down it must not delay the next attempt."""


MAX_PLAIN_BODY_BYTES = 1024**2  # aiohttp warns of bytes over 1 MiB, which hold up the event loop


class S3Store(EngineStore):
    """Writes objects with a checksum that S3 verifies. Connects at its first request."""

    def __init__(self, settings: Settings) -> None:
        """Write to `settings.bucket`, with the settings' headers on every object."""
        self.bucket: str = settings.bucket
        # Only `RetryingStore` retries: with two layers attempts would multiply, and counts be wrong
        retries = {"total_max_attempts": 1}
        self._client = S3Client(settings, retries)
        self._is_conditional = settings.conditional_writes
        self._object_parameters = _object_parameters(settings)

    def __repr__(self) -> str:
        return f"S3Store({self.bucket!r})"

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def send(self, request: Request) -> Response:
        """Carry out one request; see `ObjectStore.send`. Again, once, with renewed credentials."""
        return await retry_if_renewed(partial(super().send, request))

    async def _put(self, request: Request) -> ObjectInfo:
        body = request.body
        async with self._client.call("PutObject", request.key) as client:
            response = await client.put_object(
                **self._create_parameters(request),
                **self._condition(request),
                Body=_to_request_body(body),
                ChecksumCRC32=checksum_header(body),
            )
        etag = self._get_etag(response, "PutObject", request)
        return ObjectInfo(etag, len(body), request.attributes.metadata)

    async def _head(self, request: Request) -> ObjectInfo | None:
        try:
            async with self._client.call("HeadObject", request.key) as client:
                response = await client.head_object(Bucket=self.bucket, Key=request.key)
        except KeyError:
            return None
        etag = self._get_etag(response, "HeadObject", request)
        return ObjectInfo(etag, response.get("ContentLength", 0), response.get("Metadata", {}))

    async def _read(self, request: Request) -> bytes | None:
        key = request.key
        byte_range = f"bytes={request.start}-{request.stop - 1}"
        try:
            async with self._client.call("GetObject", key) as client:
                response = await client.get_object(Bucket=self.bucket, Key=key, Range=byte_range)
                async with response["Body"] as body:
                    found: bytes = await body.read()
                if "ContentRange" not in response:  # it ignores ranges, or is not S3
                    found = found[request.start : request.stop]
        except NotFoundError:
            return None
        except aiohttp.ClientError as error:  # the SDK does not translate those of a body
            msg = f"GetObject s3://{self.bucket}/{key}: the body ended early"
            raise RetryableError(msg) from error
        if len(found) != request.stop - request.start:
            unusable = self._client.not_s3_error("GetObject", key, "it has not the range")
            raise unusable
        return found

    async def _create_upload(self, request: Request) -> str:
        """Open an upload, and abort it if its response is lost.

        That needs s3:ListBucketMultipartUploads. Without it the lifecycle rule removes the upload.
        """
        try:
            async with self._client.call("CreateMultipartUpload", request.key) as client:
                response = await client.create_multipart_upload(
                    **self._create_parameters(request), ChecksumAlgorithm="CRC32"
                )
        except (RejectedError, RenewedCredentialsError):  # S3 has opened none
            raise
        except (Exception, asyncio.CancelledError):  # also of a library that has patched the SDK
            await shielded(self._abort_lost_uploads(request))
            raise
        upload_id: str | None = response.get("UploadId")
        if upload_id is None:
            operation = "CreateMultipartUpload"
            raise self._client.not_s3_error(operation, request.key, "it has no UploadId")
        return upload_id

    async def _abort_lost_uploads(self, request: Request) -> None:
        """Abort all uploads of a key of which we hold none, as far as there is time."""
        with suppress(Exception):  # that of the creation is raised
            async with asyncio.timeout(SWEEP_TIMEOUT_S):
                for _ in range(MAX_SWEEPS):
                    if await self._try_abort_lost_uploads(request):
                        return
                    await asyncio.sleep(SWEEP_PAUSE_S)

    async def _try_abort_lost_uploads(self, request: Request) -> bool:
        """Try once. Return False if S3 is busy."""
        key = request.key
        try:
            async with self._client.call("ListMultipartUploads", key) as client:
                response = await client.list_multipart_uploads(Bucket=self.bucket, Prefix=key)
            for upload in response.get("Uploads", ()):
                if upload["Key"] == key:
                    await self._abort_upload(replace(request, upload_id=upload["UploadId"]))
        except RetryableError:
            return False
        return True

    async def _put_part(self, request: Request) -> UploadPart:
        body = request.body
        checksum = checksum_header(body)
        async with self._client.call("UploadPart", request.key) as client:
            response = await client.upload_part(
                **self._upload_parameters(request),
                PartNumber=request.part_number,
                Body=_to_request_body(body),
                ChecksumCRC32=checksum,
            )
        etag = self._get_etag(response, "UploadPart", request)
        return UploadPart(request.part_number, len(body), etag, checksum)

    async def _complete_upload(self, request: Request) -> ObjectInfo:
        """Make the object appear. S3 checks the total size."""
        parts = [
            {"PartNumber": part.number, "ETag": part.etag, "ChecksumCRC32": part.checksum}
            for part in request.parts
        ]
        size_bytes = sum(part.size_bytes for part in request.parts)
        async with self._client.call("CompleteMultipartUpload", request.key) as client:
            response = await client.complete_multipart_upload(
                **self._upload_parameters(request),
                **self._condition(request),
                MultipartUpload={"Parts": parts},
                MpuObjectSize=size_bytes,
            )
        etag = self._get_etag(response, "CompleteMultipartUpload", request)
        return ObjectInfo(etag, size_bytes, request.attributes.metadata)

    async def _abort_upload(self, request: Request) -> None:
        """Discard the parts. An upload that does not exist any more is fine."""
        with suppress(UploadLostError):
            async with self._client.call("AbortMultipartUpload", request.key) as client:
                await client.abort_multipart_upload(**self._upload_parameters(request))

    def _get_etag(self, response: Mapping[str, Any], operation: str, request: Request) -> str:
        """Return the ETag, which every response of S3 to a success has.

        Raises:
            RetryableError: there is none.
        """
        etag: str | None = response.get("ETag")
        if not etag:
            raise self._client.not_s3_error(operation, request.key, "it has no ETag")
        return etag

    def _condition(self, request: Request) -> dict[str, str]:
        if request.if_match is not None:
            return {"IfMatch": request.if_match}
        return {"IfNoneMatch": "*"} if self._is_conditional else {}

    def _create_parameters(self, request: Request) -> dict[str, Any]:
        return {
            "Bucket": self.bucket,
            "Key": request.key,
            "ContentType": request.attributes.content_type,
            "Metadata": request.attributes.metadata,
            **self._object_parameters,
        }

    def _upload_parameters(self, request: Request) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": request.key, "UploadId": request.upload_id}


def checksum_header(body: bytes) -> str:
    """Return the CRC-32 of a body in the form of S3's headers."""
    return b64encode(crc32(body).to_bytes(4, "big")).decode()


def _to_request_body(body: bytes) -> bytes | BytesIO:
    """Return what aiohttp sends best: small bodies as bytes, large ones in pieces."""
    return body if len(body) <= MAX_PLAIN_BODY_BYTES else BytesIO(body)


def _object_parameters(settings: Settings) -> Mapping[str, str]:
    chosen = {
        "ServerSideEncryption": settings.sse,
        "SSEKMSKeyId": settings.kms_key_id,
        "StorageClass": settings.storage_class,
        "ACL": settings.acl,
        "Tagging": urlencode(settings.tags),
    }
    return {name: value for name, value in chosen.items() if value}
