"""S3Store: objects in Amazon S3, or any compatible endpoint, by aioboto3."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from batcher.concurrency import current_deadline_s, shielded
from batcher.encoding.codec import crc32
from batcher.errors import BatcherError, RetryableError, UploadLostError
from batcher.stores.base import ObjectAttributes, ObjectInfo
from batcher.stores.s3.client import S3Client

if TYPE_CHECKING:
    from batcher.settings import Settings

SWEEP_IN_EVENT_S, SWEEP_IN_PROGRAM_S = 0.5, 5.0
"""Looking for a stray upload takes at most this: in an event it runs in the deadline margin."""


MAX_SWEEPS, SWEEP_PAUSE_S = 3, 0.1
"""How often it is tried in that time: a store that is away must not hold the next attempt up."""


MAX_PLAIN_BODY_BYTES = 1024**2  # aiohttp warns of bytes over 1 MiB, which hold up the event loop


class S3Store:
    """Writes objects with a checksum that S3 verifies; connects at its first request."""

    def __init__(self, settings: Settings) -> None:
        """Write to `settings.bucket` with what the settings put on every object."""
        self.bucket = settings.bucket
        # `RetryingStore` repeats: two that do would multiply, and count nothing right
        retries = {"total_max_attempts": 1}
        self._client = S3Client(settings.bucket, settings.concurrency, retries)
        self._object_parameters = _object_parameters(settings)

    def __repr__(self) -> str:
        return f"S3Store({self.bucket!r})"

    async def put(
        self, key: str, body: bytes, attributes: ObjectAttributes, *, if_match: str | None = None
    ) -> ObjectInfo:
        """Store one object; see `ObjectStore.put`."""
        async with self._client.call("PutObject", key) as client:
            answer = await client.put_object(
                **self._create_parameters(key, attributes),
                **_condition(if_match),
                Body=_to_request_body(body),
                ChecksumCRC32=checksum_header(body),
            )
        return ObjectInfo(answer["ETag"], len(body), attributes.metadata)

    async def head(self, key: str) -> ObjectInfo | None:
        """Look at an object; see `ObjectStore.head`."""
        try:
            async with self._client.call("HeadObject", key) as client:
                answer = await client.head_object(Bucket=self.bucket, Key=key)
        except KeyError:
            return None
        return ObjectInfo(
            answer["ETag"], answer.get("ContentLength", 0), answer.get("Metadata", {})
        )

    async def create_upload(
        self, key: str, attributes: ObjectAttributes, *, part_bytes: int
    ) -> S3Upload:
        """Open a multipart upload; see `ObjectStore.create_upload`.

        One that is open although its answer was lost is aborted, as far as the bucket's owner
        allows s3:ListBucketMultipartUploads; else the lifecycle rule removes it.
        """
        del part_bytes  # S3 takes the parts in their order, whatever their sizes
        try:
            async with self._client.call("CreateMultipartUpload", key) as client:
                answer = await client.create_multipart_upload(
                    **self._create_parameters(key, attributes), ChecksumAlgorithm="CRC32"
                )
        except (RetryableError, asyncio.CancelledError):
            await shielded(self._sweep(key))
            raise
        return S3Upload(self._client, key, attributes, answer["UploadId"])

    async def _sweep(self, key: str) -> None:
        """Abort all uploads of a key for which we hold none, as far as there is time."""
        sweep_s = SWEEP_IN_PROGRAM_S if current_deadline_s.get() is None else SWEEP_IN_EVENT_S
        with suppress(BatcherError, TimeoutError):
            async with asyncio.timeout(sweep_s):
                for _ in range(MAX_SWEEPS):
                    if await self._sweep_once(key):
                        return
                    await asyncio.sleep(SWEEP_PAUSE_S)

    async def _sweep_once(self, key: str) -> bool:
        """Try once; False: the store is busy."""
        try:
            async with self._client.call("ListMultipartUploads", key) as client:
                answer = await client.list_multipart_uploads(Bucket=self.bucket, Prefix=key)
            for found in answer.get("Uploads", ()):
                if found["Key"] == key:
                    await S3Upload(self._client, key, ObjectAttributes(), found["UploadId"]).abort()
        except RetryableError:
            return False
        return True

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    def _create_parameters(self, key: str, attributes: ObjectAttributes) -> dict[str, Any]:
        return {
            "Bucket": self.bucket,
            "Key": key,
            "ContentType": attributes.content_type,
            "Metadata": attributes.metadata,
            **self._object_parameters,
        }


class S3Upload:
    """A multipart upload in S3, every part with a checksum."""

    def __init__(
        self, client: S3Client, key: str, attributes: ObjectAttributes, upload_id: str
    ) -> None:
        """Go on with the upload that `client` has opened."""
        self._client = client
        self._attributes = attributes
        self._upload_parameters = {"Bucket": client.bucket, "Key": key, "UploadId": upload_id}
        self._key = key
        self._parts: dict[int, dict[str, Any]] = {}
        self._sizes: dict[int, int] = {}

    async def put_part(self, number: int, body: bytes) -> None:
        """Send part `number`; see `Upload.put_part`."""
        crc = checksum_header(body)
        async with self._client.call("UploadPart", self._key) as client:
            answer = await client.upload_part(
                **self._upload_parameters,
                PartNumber=number,
                Body=_to_request_body(body),
                ChecksumCRC32=crc,
            )
        self._parts[number] = {"PartNumber": number, "ETag": answer["ETag"], "ChecksumCRC32": crc}
        self._sizes[number] = len(body)

    async def complete(self, *, if_match: str | None = None) -> ObjectInfo:
        """Make the object appear; see `Upload.complete`. S3 checks the total size."""
        parts = [self._parts[number] for number in sorted(self._parts)]
        size_bytes = sum(self._sizes.values())
        async with self._client.call("CompleteMultipartUpload", self._key) as client:
            answer = await client.complete_multipart_upload(
                **self._upload_parameters,
                **_condition(if_match),
                MultipartUpload={"Parts": parts},
                MpuObjectSize=size_bytes,
            )
        return ObjectInfo(answer["ETag"], size_bytes, self._attributes.metadata)

    async def abort(self) -> None:
        """Throw the parts away; see `Upload.abort`. One that is gone already is none to abort."""
        with suppress(UploadLostError):
            await self._abort()

    async def _abort(self) -> None:
        async with self._client.call("AbortMultipartUpload", self._key) as client:
            await client.abort_multipart_upload(**self._upload_parameters)


def checksum_header(body: bytes) -> str:
    """Return the CRC-32 of a body as S3's headers have it."""
    return b64encode(crc32(body).to_bytes(4, "big")).decode()


def _to_request_body(body: bytes) -> bytes | BytesIO:
    """Return what aiohttp sends best: bytes at once, and large ones piece by piece."""
    return body if len(body) <= MAX_PLAIN_BODY_BYTES else BytesIO(body)


def _condition(if_match: str | None) -> dict[str, str]:
    return {"IfNoneMatch": "*"} if if_match is None else {"IfMatch": if_match}


def _object_parameters(settings: Settings) -> Mapping[str, str]:
    chosen = {
        "ServerSideEncryption": settings.sse,
        "SSEKMSKeyId": settings.kms_key_id,
        "StorageClass": settings.storage_class,
        "Tagging": urlencode(settings.tags),
    }
    return {name: value for name, value in chosen.items() if value}
