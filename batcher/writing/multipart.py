"""Uploading: a multipart upload that is open only while somebody holds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from batcher.concurrency import current_deadline_s, shielded
from batcher.errors import BatcherError
from batcher.limits import MAX_PART_BYTES, MAX_PARTS, MIN_PART_BYTES
from batcher.stores.base import MultipartUpload, ObjectAttributes, ObjectStore

MAX_ABORT_IN_EVENT_S = 0.7
"""The most an abort may take in an event: with the end of a creation before it, it stays within the
deadline margin of the function."""


MAX_ABORT_IN_PROGRAM_S = 10.0
"""The same for a program, which nobody kills: time enough to repeat it through a storm."""


@asynccontextmanager
async def open_upload(
    store: ObjectStore, key: str, attributes: ObjectAttributes, part_bytes: int
) -> AsyncIterator[MultipartUpload]:
    """Hold a multipart upload open; leaving by any exception aborts it."""
    creating = asyncio.ensure_future(store.create_upload(key, attributes, part_bytes=part_bytes))
    try:
        upload = await asyncio.shield(creating)
    except asyncio.CancelledError:
        await shielded(_abort_creation(creating))
        raise
    try:
        yield upload
    except BaseException:
        await abort_upload(upload)
        raise


async def _abort_creation(creating: asyncio.Future[MultipartUpload]) -> None:
    """Abort an upload whose creation is still in flight: it may be open at the store by now."""
    await asyncio.wait([creating], timeout=_timeout_s())
    creating.cancel()
    await asyncio.wait([creating])
    if not creating.cancelled() and creating.exception() is None:
        await abort_upload(creating.result())


async def abort_upload(upload: MultipartUpload) -> None:
    """Abort, whatever else happens; the bucket's lifecycle rule is the net below."""
    with suppress(BatcherError, TimeoutError):  # the first error tells the story
        await shielded(asyncio.wait_for(upload.abort(), _timeout_s()))


def _timeout_s() -> float:
    return MAX_ABORT_IN_PROGRAM_S if current_deadline_s.get() is None else MAX_ABORT_IN_EVENT_S


# Source: Amazon S3 user guide, multipart upload limits. Only the last part may be smaller.


def choose_part_bytes(part_bytes: int, max_body_bytes: int) -> int:
    """Return the size of all parts but the last: `part_bytes`, doubled until 10,000 parts suffice.

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
    while part_bytes * MAX_PARTS < max_body_bytes:
        part_bytes *= 2
    if part_bytes > MAX_PART_BYTES:
        msg = f"a body of {max_body_bytes} bytes does not fit {MAX_PARTS} parts"
        raise ValueError(msg)
    return part_bytes
