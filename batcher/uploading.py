"""Uploading: a multipart upload that is open only while somebody holds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from batcher.deadline import deadline_s
from batcher.errors import BatcherError
from batcher.stores.base import About, ObjectStore, Upload
from batcher.uninterrupted import uninterrupted

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
