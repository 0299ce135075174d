"""Writer: one batch becomes one object, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from itertools import count
from typing import TYPE_CHECKING

from batcher.concurrency import current_slots
from batcher.encoding.codec import Checksum
from batcher.errors import PreconditionFailedError, RetryableError, UploadLostError
from batcher.stores.base import MultipartUpload, ObjectInfo, ObjectStore
from batcher.writing.encoder import BytesBuffer, Encoder, iter_parts
from batcher.writing.multipart import abort_upload, choose_part_bytes, open_upload
from batcher.writing.object import ObjectSpec, Receipt

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from batcher.settings import Settings
    from batcher.writing.pending import PendingBatch

ConditionalSend = Callable[[str | None], Awaitable[ObjectInfo]]
"""Writes under the condition that the key is free (None), or has this ETag."""


MAX_ENCODING_OVERHEAD = 1.01
"""The most that a codec makes of bytes it cannot compress, headers included."""


MAX_INLINE_BYTES = 64 * 1024
"""Text that is encoded in the event loop's own thread: 0.2 ms, or 4 ms with gzip-9."""


MAX_UPLOADS = 3
"""How often a multipart upload that S3 has lost is made, where all parts are still held."""


class Writer:
    """Encodes batches off the event loop and sends them: one PUT, or parts when they are large.

    A batch that is still open is streamed: parts leave while records arrive.
    """

    def __init__(
        self, store: ObjectStore, settings: Settings, executor: Executor, threads: int
    ) -> None:
        """Write to `store` as the settings say, encoding in the `threads` of `executor`."""
        self._store = store
        self._settings = settings
        self._encoder = Encoder(settings, executor, threads)

    async def write(self, pending: PendingBatch, *, inline: bool = False) -> Receipt:
        """Write the flight's batch, and give the receipt when the object is durable.

        Leaving by an error or a cancellation leaves no object, no open upload and no part.

        Args:
            pending: the batch, open or sealed.
            inline: encode a sealed batch in the event loop's own thread, whatever its size.

        Raises:
            RetryableError: the same batch may succeed later.
            RejectedError: the store refuses, and will again.
        """
        checksum = Checksum()
        body = BytesBuffer()
        # What a source can send again has its whole metadata, so all of it is encoded first
        is_streamed = not pending.batch.route.origin.is_redeliverable
        threshold_bytes = self._settings.multipart_threshold
        if inline or _is_small(pending):
            await self._encoder.encode_inline(pending, checksum, body)
            return await self._write_encoded(pending, body, checksum)
        async with aclosing(self._encoder.encode_stream(pending, checksum)) as encoded:
            async for piece in encoded:
                body.append(piece)
                if is_streamed and body.size_bytes >= threshold_bytes:
                    return await self._write_stream(pending, body, encoded)
        return await self._write_encoded(pending, body, checksum)

    async def _write_encoded(
        self, pending: PendingBatch, buffer: BytesBuffer, checksum: Checksum
    ) -> Receipt:
        """Write one object whose whole body is there."""
        if buffer.size_bytes >= self._settings.multipart_threshold:
            return await self._write_parts(pending, buffer, checksum)
        return await self._write_single(pending, buffer.take_all(), checksum)

    async def _write_single(
        self, pending: PendingBatch, body: bytes, checksum: Checksum
    ) -> Receipt:
        """Write one object by one PUT."""
        target = self._make_spec(pending, checksum)

        async def put(replaces: str | None) -> ObjectInfo:
            return await self._store.put(target.key, body, target.attributes, if_match=replaces)

        await self._send(target, put)
        return target.make_receipt(len(body))

    async def _write_parts(
        self, pending: PendingBatch, buffer: BytesBuffer, checksum: Checksum
    ) -> Receipt:
        """Write one object in parts, held to its end, so that a lost upload can be made anew."""
        target = self._make_spec(pending, checksum)
        part_bytes = choose_part_bytes(self._settings.part_size, buffer.size_bytes)
        parts = list(buffer.take_parts(part_bytes))
        uploads = 1
        while True:
            try:
                await self._upload(pending, target, _iterate(parts), part_bytes, held=True)
            except UploadLostError:
                if uploads == MAX_UPLOADS:
                    raise
                uploads += 1
            else:
                return target.make_receipt(buffer.appended_bytes)

    async def _write_stream(
        self, pending: PendingBatch, buffer: BytesBuffer, encoded: AsyncIterator[bytes]
    ) -> Receipt:
        """Write one object in parts that leave while its batch grows, and are gone when sent."""
        target = self._make_spec(pending, None)
        longest_bytes = (
            max(pending.batch.size_bytes, self._settings.max_bytes) * MAX_ENCODING_OVERHEAD
        )
        part_bytes = choose_part_bytes(self._settings.part_size, int(longest_bytes))
        async with aclosing(iter_parts(buffer, encoded, part_bytes)) as parts:
            await self._upload(pending, target, parts, part_bytes, held=False)
        return target.make_receipt(buffer.appended_bytes)

    async def _upload(
        self,
        pending: PendingBatch,
        spec: ObjectSpec,
        parts: AsyncIterable[bytes],
        part_bytes: int,
        *,
        held: bool,
    ) -> None:
        """Make one multipart upload, from its creation to its object.

        Raises:
            UploadLostError: it is gone; nothing is left of it.
        """
        async with open_upload(self._store, spec.key, spec.attributes, part_bytes) as upload:
            try:
                async with asyncio.TaskGroup() as group:
                    await self._send_parts(pending, upload, group, parts, held=held)
            except BaseExceptionGroup as errors:  # except* wraps what it raises, on some Pythons
                raise first_error(errors) from errors

            async def complete(replaces: str | None) -> ObjectInfo:
                return await self._complete(upload, spec, replaces)

            if not await self._send(spec, complete):
                await abort_upload(upload)  # our object was there already

    async def _send_parts(
        self,
        pending: PendingBatch,
        upload: MultipartUpload,
        group: asyncio.TaskGroup,
        parts: AsyncIterable[bytes],
        *,
        held: bool,
    ) -> None:
        """Send parts side by side, no more at once than there may be requests in flight."""
        numbers = count(1)
        places = asyncio.Semaphore(self._settings.concurrency)
        async for part in parts:
            await places.acquire()
            sending = group.create_task(_send_part(pending, upload, next(numbers), part, held=held))
            sending.add_done_callback(lambda _: places.release())

    async def _complete(
        self, upload: MultipartUpload, spec: ObjectSpec, if_match: str | None
    ) -> ObjectInfo:
        """Complete an upload; where no answer tells how that ended, look for the object."""
        try:
            return await upload.complete(if_match=if_match)
        except RetryableError:
            there = await self._store.head(spec.key)
            if there is not None and spec.is_ours(there):
                return there
            raise

    async def _send(self, spec: ObjectSpec, send: ConditionalSend) -> bool:
        """Send under the target's condition; give whether that made the object just now."""
        if spec.is_fresh:
            return await create_fresh(send)
        return await create_or_replace(self._store, spec.key, send, spec.is_ours)

    def _make_spec(self, pending: PendingBatch, checksum: Checksum | None) -> ObjectSpec:
        return ObjectSpec(pending.batch, pending.uuid_name, checksum, self._settings)


def _is_small(pending: PendingBatch) -> bool:
    """Return whether handing a batch to a thread would cost more than encoding it."""
    batch = pending.batch
    return (
        batch.seal_reason is not None
        and batch.unencoded_bytes == batch.size_bytes <= MAX_INLINE_BYTES
    )


async def _send_part(
    pending: PendingBatch, upload: MultipartUpload, number: int, part: bytes, *, held: bool
) -> None:
    """Send one part; unless it is held to the end, the budget has its bytes back when it is."""
    current_slots.set(None)  # the flight has one seat, however many of its parts wait
    pending.in_flight_bytes += len(part)
    try:
        await upload.put_part(number, part)
        if not held:
            pending.replace_held(len(part), 0)
    finally:
        pending.in_flight_bytes -= len(part)


async def _iterate(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group: those after it are mostly its echoes."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def create_fresh(send: ConditionalSend) -> bool:
    """Write a fresh key, which nobody else has.

    Returns:
        Whether this very request made the object; False: an earlier one of ours had, unheard.
    """
    try:
        await send(None)
    except PreconditionFailedError:
        return False
    return True


async def create_or_replace(
    store: ObjectStore, key: str, send: ConditionalSend, is_ours: Callable[[ObjectInfo], bool]
) -> bool:
    """Write a key that an earlier delivery of the same records may have written.

    The first request creates, and costs nothing besides. Only where it is refused we look: what
    is there may be ours, by a request whose answer was lost; another object is of an earlier
    delivery, and is replaced as it was seen, so that a late request of that delivery is refused
    in its turn.

    Returns:
        As `create`.

    Raises:
        RetryableError: somebody changes the key at the same time; or what `send` and a look raise.
    """
    try:
        await send(None)
    except PreconditionFailedError as taken:
        there = await store.head(key)
        if there is None:
            msg = f"{key}: an object that was there is gone; to be sent again"
            raise RetryableError(msg) from taken
        if is_ours(there):
            return False
    else:
        return True
    try:
        await send(there.etag)
    except PreconditionFailedError as changed:
        there = await store.head(key)
        if there is not None and is_ours(there):
            return False  # our replacement had succeeded, unheard
        msg = f"{key}: another writer replaced it at the same time; to be sent again"
        raise RetryableError(msg) from changed
    return True
