"""S3Reader: lists and reads the objects of a bucket."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp

from batcher.errors import RetryableError
from batcher.stores.base import CommonPrefix, ListEntry, ObjectBody, ObjectInfo, OpenUpload
from batcher.stores.credentials.source import retry_if_renewed
from batcher.stores.s3.client import S3Client
from batcher.stores.upload_pages import list_upload_pages

if TYPE_CHECKING:
    from batcher.settings import Settings

PIECE_BYTES = 1024**2


READING = "GetObject"
"""The name in Amazon's API, for messages."""


PAGE_OBJECTS = 1_000  # Source: Amazon S3 API reference: the most that one listing returns


# Reads are idempotent, so the SDK may retry them
RETRIES: Mapping[str, str | int] = {"mode": "standard", "total_max_attempts": 5}


class S3Reader:
    """Lists and reads objects. Connects at its first request."""

    def __init__(self, settings: Settings, *, page_objects: int = PAGE_OBJECTS) -> None:
        """Read from `settings.bucket`, listing `page_objects` per request."""
        self.bucket: str = settings.bucket
        self._client = S3Client(settings, RETRIES)
        self._page_objects = page_objects

    def __repr__(self) -> str:
        return f"S3Reader({self.bucket!r})"

    async def list_objects(self, prefix: str) -> AsyncIterator[ListEntry]:
        """Return objects in the server's order; see `ObjectReader.list_objects`."""
        async for page in self._pages(prefix):
            for listed in _iter_entries(page):
                yield listed

    async def list_folder(self, prefix: str) -> AsyncGenerator[ListEntry | CommonPrefix, None]:
        """Return objects and folders, page by page; see `ObjectReader.list_folder`."""
        async for page in self._pages(prefix, Delimiter="/"):
            for folder in page.get("CommonPrefixes", ()):
                yield CommonPrefix(folder["Prefix"])
            for listed in _iter_entries(page):
                yield listed

    async def _pages(self, prefix: str, **more: str) -> AsyncIterator[dict[str, Any]]:
        parameters: dict[str, Any] = {
            "Bucket": self.bucket,
            "Prefix": prefix,
            "MaxKeys": self._page_objects,
        }
        parameters |= more
        while True:
            response = await retry_if_renewed(partial(self._list_page, prefix, parameters))
            yield response
            if not response.get("IsTruncated"):
                return
            parameters["ContinuationToken"] = response["NextContinuationToken"]

    async def _list_page(self, prefix: str, parameters: dict[str, Any]) -> dict[str, Any]:
        async with self._client.call("ListObjectsV2", prefix) as client:
            response: dict[str, Any] = await client.list_objects_v2(**parameters)
        return response

    async def list_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        """Return the open uploads; see `ObjectReader.list_uploads`."""

        async def request_page(parameters: dict[str, Any]) -> dict[str, Any]:
            async with self._client.call("ListMultipartUploads", prefix) as client:
                response: dict[str, Any] = await client.list_multipart_uploads(**parameters)
            return response

        def request_page_again(parameters: dict[str, Any]) -> Awaitable[dict[str, Any]]:
            return retry_if_renewed(partial(request_page, parameters))

        pages = list_upload_pages(self.bucket, prefix, self._page_objects, request_page_again)
        async with aclosing(pages) as uploads:
            async for upload in uploads:
                yield upload

    @asynccontextmanager
    async def open_object(
        self, key: str, *, start: int = 0, etag: str = ""
    ) -> AsyncIterator[ObjectBody]:
        """Open one object; see `BucketReader.open_object`."""
        response = await retry_if_renewed(partial(self._get, key, start, etag))
        size_bytes = response["ContentLength"]
        whole_bytes = start + size_bytes
        if start and response.get("ContentRange", "").partition("/")[0] != (
            f"bytes {start}-{whole_bytes - 1}"
        ):
            response["Body"].close()
            reason = f"it has not the bytes from {start} on"
            raise self._client.not_s3_error(READING, key, reason)
        info = ObjectInfo(response["ETag"], whole_bytes, response.get("Metadata", {}))
        async with response["Body"]:  # leaving it early closes the connection
            pieces = self._pieces(key, response["Body"], size_bytes)
            yield ObjectBody(info, response.get("ContentType", ""), pieces)

    async def _get(self, key: str, start: int, etag: str) -> dict[str, Any]:
        conditions = {"Range": f"bytes={start}-"} if start else {}
        if etag:
            conditions["IfMatch"] = etag
        try:
            async with self._client.call(READING, key) as client:
                response: dict[str, Any] = await client.get_object(
                    Bucket=self.bucket, Key=key, **conditions
                )
        except aiohttp.ClientError as error:  # the SDK does not translate those of an error's text
            msg = f"{READING} s3://{self.bucket}/{key}: the response ended early"
            raise RetryableError(msg) from error
        return response

    async def _pieces(self, key: str, body: Any, size_bytes: int) -> AsyncIterator[bytes]:  # noqa: ANN401  # no types
        """Return the body in pieces. Raise RetryableError if it is truncated."""
        read_bytes = 0
        try:
            async with self._client.call(READING, key):
                while piece := await body.read(PIECE_BYTES):
                    read_bytes += len(piece)
                    yield piece
        except aiohttp.ClientError as error:  # the SDK does not translate it
            raise _truncated_error(self.bucket, key, read_bytes, size_bytes) from error
        if read_bytes != size_bytes:
            raise _truncated_error(self.bucket, key, read_bytes, size_bytes)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()


def _iter_entries(page: dict[str, Any]) -> Iterator[ListEntry]:
    for found in page.get("Contents", ()):
        yield ListEntry(
            found["Key"], found["Size"], found["ETag"], found["LastModified"].timestamp()
        )


def _truncated_error(bucket: str, key: str, read_bytes: int, size_bytes: int) -> RetryableError:
    context = f"{READING} s3://{bucket}/{key}"
    return RetryableError(f"{context}: the body ended after {read_bytes} of {size_bytes} bytes")
