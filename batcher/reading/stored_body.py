"""Stored body: the bytes of one object as they are stored, continued after a lost connection."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from batcher.errors import PreconditionFailedError, RejectedError, RetryableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from batcher.reading.stream import ReopenPolicy
    from batcher.stores.base import BucketReader, ObjectInfo


async def read_stored_body(
    reader: BucketReader,
    key: str,
    reopen_policy: ReopenPolicy,
    on_open: Callable[[ObjectInfo], None],
    etag: str = "",
) -> AsyncGenerator[bytes, None]:
    """Yield the body of an object in pieces, not decoded. No byte is requested twice.

    Args:
        reader: opens the object.
        key: of the object.
        reopen_policy: how often it is opened without progress.
        on_open: called each time that the object is open, with its size and ETag.
        etag: of the object that is meant. Empty: the one that is there now.

    Raises:
        NotFoundError: there is no such object.
        RetryableError: every attempt failed.
        RejectedError: the store refuses, or the object is another one by now. The bytes of two
            versions are never mixed.
    """
    read_bytes = failures = 0
    size_bytes = -1
    while read_bytes != size_bytes:
        try:
            async with reader.open_object(key, start=read_bytes, etag=etag) as body:
                etag, size_bytes = body.info.etag, body.info.size_bytes
                on_open(body.info)
                async with aclosing(_as_generator(body.pieces)) as pieces:
                    async for piece in pieces:
                        read_bytes += len(piece)
                        failures = 0
                        yield piece
        except PreconditionFailedError as error:
            fix = "continue if lines were only added to it, else read it again from its start"
            msg = f"{key}: replaced while it was read; {fix}"
            raise RejectedError(msg) from error
        except RetryableError as error:
            failure = error
        else:
            return
        failures += 1
        await reopen_policy.wait(failures, failure)


async def _as_generator(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Return an iterator's items. Closing this closes the iterator, if it can be closed."""
    try:
        async for piece in pieces:
            yield piece
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()
