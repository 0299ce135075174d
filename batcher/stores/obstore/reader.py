"""ObstoreReader: lists and reads the objects of a bucket with obstore."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore

from batcher.errors import BatcherError, RetryableError
from batcher.stores.base import CommonPrefix, ListEntry, ObjectBody, ObjectInfo, OpenUpload
from batcher.stores.credentials.source import retry_if_renewed
from batcher.stores.obstore.client import HEADER_ATTRIBUTES, OBSTORE_ERRORS, ObstoreClient
from batcher.stores.obstore.keys import find_key_fault, unreadable_key_error
from batcher.stores.obstore.listing import PAGE_OBJECTS, ObstoreListing

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult
    from obstore.store import RetryConfig

    from batcher.settings import Settings

READING = "GetObject"
"""The name in Amazon's API, for messages."""


PIECE_BYTES = 1024**2


MIN_PIECE_BYTES = 256 * 1024
"""Pieces have at least this size, except the last: readers decode each one in a thread."""


# Reads are idempotent, so obstore may retry them: as often as the SDK does for aioboto3's reader
RETRIES: RetryConfig = {
    "max_retries": 4,
    "backoff": {
        "init_backoff": timedelta(seconds=0.1),
        "max_backoff": timedelta(seconds=10),
        "base": 2,
    },
    # obstore signs a request once, for all attempts
    "retry_timeout": timedelta(minutes=3),
}


READ_TIMEOUT = "60s"
"""How long obstore waits for the response, and for the next bytes of a body."""


class ObstoreReader:
    """Lists and reads objects. Connects at its first request, and serves any event loop.

    obstore has no keys, but paths: without a slash at the start and the end, without empty parts.
    Keys of other programs may differ. See docs/decisions/0016.
    """

    def __init__(self, settings: Settings, *, page_objects: int = PAGE_OBJECTS) -> None:
        """Read from `settings.bucket`, taking `page_objects` (or uploads) at a time.

        Raises:
            SettingsError: obstore cannot address the bucket.
        """
        self.bucket: str = settings.bucket
        self._settings = settings
        self._client = ObstoreClient(
            settings, retry_config=RETRIES, read_timeout=READ_TIMEOUT, follows_region=False
        )
        self._page_objects = page_objects
        self._listing = ObstoreListing(self._client, page_objects)

    def __repr__(self) -> str:
        return f"ObstoreReader({self.bucket!r})"

    def list_objects(self, prefix: str) -> AsyncIterator[ListEntry]:
        """Return objects in the server's order; see `ObjectReader.list_objects`."""
        return self._listing.list_objects(prefix)

    def list_folder(self, prefix: str) -> AsyncGenerator[ListEntry | CommonPrefix, None]:
        """Return objects and folders; see `ObjectReader.list_folder`."""
        return self._listing.list_folder(prefix)

    async def list_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        """Return the open uploads, which boto3 lists; see `ObjectReader.list_uploads`.

        Raises:
            NotInstalledError: boto3 is not installed.
        """
        from batcher.stores.obstore.uploads import list_uploads  # noqa: PLC0415  # boto3, for `verify`

        uploads_by_page = list_uploads(
            self._settings, prefix, self._client.source, page_uploads=self._page_objects
        )
        async with aclosing(uploads_by_page) as uploads:
            async for upload in uploads:
                yield upload

    @asynccontextmanager
    async def open_object(
        self, key: str, *, start: int = 0, etag: str = ""
    ) -> AsyncIterator[ObjectBody]:
        """Open one object; see `BucketReader.open_object`."""
        if fault := find_key_fault(key):
            raise unreadable_key_error(READING, self.bucket, key, fault)
        result = await retry_if_renewed(lambda: self._get(key, start, etag))
        attributes = {name.lower(): value for name, value in result.attributes.items()}
        metadata = {n: value for n, value in attributes.items() if n not in HEADER_ATTRIBUTES}
        info = ObjectInfo(result.meta["e_tag"] or "", result.meta["size"], metadata)
        # Closing the pieces drops the stream, which closes the connection unless all is read
        async with aclosing(self._pieces(key, result, info.size_bytes - start)) as pieces:
            del result
            yield ObjectBody(info, attributes.get("content-type", ""), pieces)

    async def _get(self, key: str, start: int, etag: str) -> GetResult:
        options: GetOptions = {"range": {"offset": start}} if start else {}
        if etag:
            options["if_match"] = etag
        async with self._client.call(READING, key) as client:
            return await obstore.get_async(client, key, options=options)

    async def _pieces(
        self, key: str, result: GetResult, size_bytes: int
    ) -> AsyncGenerator[bytes, None]:
        """Return the body in pieces. Raise RetryableError if it is truncated."""
        # obstore could collect chunks itself, but would discard them if the body ends early
        chunks = aiter(result.stream(min_chunk_size=1))
        read_bytes = 0
        failure: BatcherError | None = None
        is_ended = False
        while not is_ended:
            collected = bytearray()
            while not is_ended and len(collected) < MIN_PIECE_BYTES:
                try:
                    chunk = await self._next_chunk(key, chunks)
                except BatcherError as error:
                    failure, chunk = error, b""
                collected += chunk
                is_ended = not chunk
            read_bytes += len(collected)
            for start in range(0, len(collected), PIECE_BYTES):
                yield bytes(memoryview(collected)[start : start + PIECE_BYTES])
        if failure is not None and not _is_body_failure(failure):
            raise failure
        if read_bytes != size_bytes:
            raise _truncated_error(self.bucket, key, read_bytes, size_bytes) from failure

    async def _next_chunk(self, key: str, chunks: AsyncIterator[bytes]) -> bytes:
        """Return the next bytes of a body as they come, or nothing at its end."""
        async with self._client.call(READING, key):
            return await anext(chunks, b"")

    async def aclose(self) -> None:
        """Close all connections when no request uses them any more."""
        self._client.close()


def _is_body_failure(error: BatcherError) -> bool:
    """Return whether the connection has failed while a body was read, not S3's response."""
    return type(error) is RetryableError and isinstance(error.__cause__, OBSTORE_ERRORS)


def _truncated_error(bucket: str, key: str, read_bytes: int, size_bytes: int) -> RetryableError:
    context = f"{READING} s3://{bucket}/{key}"
    return RetryableError(f"{context}: the body ended after {read_bytes} of {size_bytes} bytes")
