"""Uploading: a multipart upload that is open only while somebody holds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from batcher.concurrency import deadline_s, uninterrupted
from batcher.errors import BatcherError
from batcher.limits import MAX_PART_BYTES, MAX_PARTS, MIN_PART_BYTES
from batcher.stores.base import About, ObjectStore, Upload

IN_EVENT_S = 0.7
"""The most an abort may take in an event: with the end of a creation before it, it stays within the
deadline margin of the function."""


IN_PROGRAM_S = 10.0
"""The same for a program, which nobody kills: time enough to repeat it through a storm."""


@asynccontextmanager
async def uploading(
    store: ObjectStore, key: str, about: About, part_bytes: int
) -> AsyncIterator[Upload]:
    """Hold a multipart upload open; leaving by any exception aborts it."""
    creating = asyncio.ensure_future(store.create_upload(key, about, part_bytes=part_bytes))
    try:
        upload = await asyncio.shield(creating)
    except asyncio.CancelledError:
        await uninterrupted(_abandon(creating))
        raise
    try:
        yield upload
    except BaseException:
        await abort(upload)
        raise


async def _abandon(creating: asyncio.Future[Upload]) -> None:
    """Abort an upload whose creation is still in flight: it may be open at the store by now."""
    await asyncio.wait([creating], timeout=_timeout_s())
    creating.cancel()
    await asyncio.wait([creating])
    if not creating.cancelled() and creating.exception() is None:
        await abort(creating.result())


async def abort(upload: Upload) -> None:
    """Abort, whatever else happens; the bucket's lifecycle rule is the net below."""
    with suppress(BatcherError, TimeoutError):  # the first error tells the story
        await uninterrupted(asyncio.wait_for(upload.abort(), _timeout_s()))


def _timeout_s() -> float:
    return IN_PROGRAM_S if deadline_s.get() is None else IN_EVENT_S


# Source: Amazon S3 user guide, multipart upload limits. Only the last part may be smaller.


def part_bytes_for(part_bytes: int, longest_body_bytes: int) -> int:
    """Give the size of all parts but the last: `part_bytes`, doubled until 10,000 parts suffice.

    All parts but the last are of one size, for some S3-compatible stores take nothing else.

    Args:
        part_bytes: what is wanted; at least 5 MiB.
        longest_body_bytes: what the object could come to, known before its first part leaves.

    Raises:
        ValueError: `part_bytes` is under 5 MiB, or the body is over what 10,000 parts can hold.
    """
    if part_bytes < MIN_PART_BYTES:
        msg = f"a part has at least {MIN_PART_BYTES} bytes, not {part_bytes}"
        raise ValueError(msg)
    while part_bytes * MAX_PARTS < longest_body_bytes:
        part_bytes *= 2
    if part_bytes > MAX_PART_BYTES:
        msg = f"a body of {longest_body_bytes} bytes does not fit {MAX_PARTS} parts"
        raise ValueError(msg)
    return part_bytes
