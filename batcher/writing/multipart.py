"""Multipart uploads that are completed or aborted, and the size of their parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from batcher.concurrency import shielded
from batcher.errors import BatcherError
from batcher.limits import MAX_PART_BYTES, MAX_PARTS, MIN_PART_BYTES
from batcher.stores.base import MultipartUpload, ObjectAttributes, ObjectStore

if TYPE_CHECKING:
    from batcher.concurrency import WorkerSlots

MAX_ABORT_S = 10.0
"""The most that an abort takes: long enough to retry while S3 throttles. A creation that must end
first takes as long again."""


@asynccontextmanager
async def open_upload(  # an upload's own, and the sender's
    store: ObjectStore,
    key: str,
    attributes: ObjectAttributes,
    part_bytes: int,
    *,
    slots: WorkerSlots | None = None,
) -> AsyncIterator[MultipartUpload]:
    """Open a multipart upload. Leaving by any exception aborts it, cancellation included."""
    creation = asyncio.ensure_future(
        store.create_upload(key, attributes, part_bytes=part_bytes, slots=slots)
    )
    try:
        upload = await asyncio.shield(creation)
    except asyncio.CancelledError:
        await shielded(_abort_creation(creation, MAX_ABORT_S))
        raise
    try:
        yield upload
    except BaseException:
        await abort_upload(upload)
        raise


async def _abort_creation(creation: asyncio.Future[MultipartUpload], timeout_s: float) -> None:
    """Abort an upload whose creation is still in flight, because the store may have opened it."""
    await asyncio.wait([creation], timeout=timeout_s)
    creation.cancel()
    await asyncio.wait([creation])
    if not creation.cancelled() and creation.exception() is None:
        await abort_upload(creation.result())


async def abort_upload(upload: MultipartUpload) -> None:
    """Abort an upload, whatever fails. If it stays open, the bucket's lifecycle rule removes it."""
    with suppress(BatcherError, TimeoutError):  # the error that led here is the one to raise
        await shielded(asyncio.wait_for(upload.abort(), MAX_ABORT_S))


def choose_part_bytes(part_bytes: int, max_body_bytes: int) -> int:
    """Return the size of all parts but the last: `part_bytes`, doubled until 10,000 parts suffice.

    All parts but the last have one size, because some S3-compatible stores require that.

    Args:
        part_bytes: the preferred size, at least 5 MiB.
        max_body_bytes: the most that the object can have; known before its first part is sent.

    Raises:
        ValueError: `part_bytes` is under 5 MiB, or the body does not fit 10,000 parts.

    Source: Amazon S3 User Guide, "Amazon S3 multipart upload limits".
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
