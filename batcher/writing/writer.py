"""Writer: one batch becomes one object, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import aclosing
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from batcher.encoding.codec import ZSTD_HEADER_BYTES, Checksum, add_text_size
from batcher.errors import PreconditionFailedError, shorten
from batcher.stores.base import MultipartUpload, ObjectStore
from batcher.stores.request import Operation, Request
from batcher.writing.encoder import BytesBuffer, Encoder, iter_parts
from batcher.writing.object import METADATA_DIGEST, ObjectSpec, Receipt, choose_format
from batcher.writing.object_writer import ObjectWriter
from batcher.writing.outcome import send_write

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from batcher.batching.batch import Batch
    from batcher.settings import Settings
    from batcher.writing.pending import PendingBatch

MAX_ENCODING_OVERHEAD = 1.01
"""The most that a codec makes of incompressible bytes, headers included, per byte of text."""


MAX_INLINE_BYTES = 64 * 1024
"""Text up to this size is encoded in the event loop's thread: 0.2 ms, or 4 ms with gzip-9."""


class Writer:
    """Encodes batches off the event loop and sends them: one PUT, or parts when they are large.

    A batch that is still open is streamed: parts are sent while records arrive. The batches of
    events are complete, and are always one PUT: what a redelivery may meet has all its metadata.
    """

    def __init__(
        self, store: ObjectStore, settings: Settings, executor: Executor, threads: int
    ) -> None:
        """Write to `store` with these settings, and encode in the `threads` of `executor`."""
        self._store = store
        self._settings = settings
        self._encoder = Encoder(settings, executor, threads)

    async def write(self, pending: PendingBatch, *, inline: bool = False) -> Receipt:
        """Write a batch. Return the receipt when its object is durable.

        An error or a cancellation leaves no open upload, and no object unless the outcome of its
        last request is unknown.

        Args:
            pending: the batch, open or sealed.
            inline: encode a sealed batch in the event loop's own thread, whatever its size.

        Raises:
            RetryableError: the same batch may succeed later.
            RejectedError: the store refuses, and will again.
        """
        if pending.batch.route.origin.is_redeliverable:
            encode = partial(self._encode, inline=inline)
            return await ObjectWriter(self._store, self._settings, pending, encode).write()
        checksum = Checksum()
        body = BytesBuffer()
        if inline or _is_small(pending):
            await self._encoder.encode_inline(pending, checksum, body)
            return await self._write_single(pending, body.take_all(), checksum)
        # With a deadline there may be no time left for an abort
        is_streamed = pending.deadline_s is None and self._store.parallel_parts > 0
        threshold_bytes = self._settings.multipart_threshold
        async with aclosing(self._encoder.encode_stream(pending, checksum)) as encoded:
            async for piece in encoded:
                body.append(piece)
                if is_streamed and body.size_bytes >= threshold_bytes:
                    return await self._write_stream(pending, body, encoded)
        if choose_format(pending.batch.route, self._settings).compression == "zstd":
            body.put_back(add_text_size(body.take(ZSTD_HEADER_BYTES), checksum.size_bytes))
        return await self._write_single(pending, body.take_all(), checksum)

    async def _encode(self, pending: PendingBatch, *, inline: bool) -> tuple[bytes, Checksum]:
        """Return the body of a sealed batch, and the checksum of its text."""
        checksum = Checksum()
        body = BytesBuffer()
        if inline or _is_small(pending):
            await self._encoder.encode_inline(pending, checksum, body)
        else:
            async with aclosing(self._encoder.encode_stream(pending, checksum)) as encoded:
                async for piece in encoded:
                    body.append(piece)
        return body.take_all(), checksum

    async def find(self, batch: Batch) -> Receipt | None:
        """Look once for the object of a sealed batch. Return its receipt if it is durable.

        Raises:
            BatcherError: the store did not say; see `ObjectStore.send`.
        """
        spec = ObjectSpec(batch, "", None, self._settings)
        now_s = asyncio.get_running_loop().time()
        existing = await self._store.head(spec.key, deadline_s=now_s)  # no time for a retry
        if existing is None or existing.metadata.get(METADATA_DIGEST) != batch.digest():
            return None
        return spec.make_receipt(existing.size_bytes)

    async def _write_single(
        self, pending: PendingBatch, body: bytes, checksum: Checksum
    ) -> Receipt:
        """Write one object under a fresh key by one PUT."""
        spec = self._make_spec(pending, checksum)
        request = Request(
            Operation.PUT,
            spec.key,
            body=body,
            attributes=spec.attributes,
            deadline_s=pending.deadline_s,
            slots=pending.slots,
        )
        pending.may_be_durable = True
        try:
            await send_write(self._store, request)
        except PreconditionFailedError as error:  # by an earlier attempt, whose response was lost
            shorten(error)
        return spec.make_receipt(len(body))

    async def _write_stream(
        self, pending: PendingBatch, buffer: BytesBuffer, encoded: AsyncIterator[bytes]
    ) -> Receipt:
        """Write one object in parts while its batch grows. Parts are released when sent."""
        from batcher.writing.multipart import (  # noqa: PLC0415  # for large objects
            abort_upload,
            choose_part_bytes,
            open_upload,
        )

        spec = self._make_spec(pending, None)
        max_text_bytes = max(pending.batch.size_bytes, self._settings.max_bytes)
        max_body_bytes = int(max_text_bytes * MAX_ENCODING_OVERHEAD)
        part_bytes = choose_part_bytes(self._settings.part_size, max_body_bytes)
        async with (
            aclosing(iter_parts(buffer, encoded, part_bytes)) as parts,
            open_upload(
                self._store,
                spec.key,
                spec.attributes,
                part_bytes,
                slots=pending.slots,
            ) as upload,
        ):
            try:
                async with asyncio.TaskGroup() as group:
                    await self._send_parts(pending, upload, group, parts, part_bytes)
            except BaseExceptionGroup as errors:  # except* wraps what it raises, on some Pythons
                raise first_error(errors) from errors
            pending.may_be_durable = True
            if not await complete_upload(self._store, upload.completion()):
                await abort_upload(upload)  # the object existed already
        return spec.make_receipt(buffer.appended_bytes)

    async def _send_parts(
        self,
        pending: PendingBatch,
        upload: MultipartUpload,
        group: asyncio.TaskGroup,
        parts: AsyncIterable[bytes],
        part_bytes: int,
    ) -> None:
        """Send parts concurrently, as many at once as the store can and `concurrency` allows."""
        numbers = count(1)
        semaphore = asyncio.Semaphore(min(self._settings.concurrency, self._store.parallel_parts))
        async for part in parts:
            await semaphore.acquire()
            is_last = len(part) < part_bytes
            task = group.create_task(
                _send_part(pending, upload, next(numbers), part, is_last=is_last)
            )
            task.add_done_callback(lambda _: semaphore.release())

    def _make_spec(self, pending: PendingBatch, checksum: Checksum | None) -> ObjectSpec:
        return ObjectSpec(pending.batch, pending.uuid_name, checksum, self._settings)


def _is_small(pending: PendingBatch) -> bool:
    """Return whether passing a batch to a thread would cost more than encoding it here."""
    batch = pending.batch
    return (
        batch.seal_reason is not None
        and batch.unencoded_bytes == batch.size_bytes <= MAX_INLINE_BYTES
    )


async def _send_part(
    pending: PendingBatch, upload: MultipartUpload, number: int, part: bytes, *, is_last: bool
) -> None:
    """Send one part. Its bytes return to the budget when it is sent.

    Those of the last part do so with the whole object: some stores hold it until the completion.
    """
    pending.in_flight_bytes += len(part)
    try:
        await upload.put_part(number, part)
        if not is_last:
            pending.replace_held(len(part), 0)
    finally:
        pending.in_flight_bytes -= len(part)


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group. The others are usually its consequences."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def complete_upload(store: ObjectStore, request: Request) -> bool:
    """Complete the upload of a fresh key.

    Returns:
        Whether this request created the object. False: an earlier request of ours had.
    """
    try:
        return await send_write(store, request)
    except PreconditionFailedError as error:
        shorten(error)
        return False
