"""Writer: one batch becomes one object, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from itertools import count
from typing import TYPE_CHECKING

from batcher.concurrency import taken
from batcher.encoding.codec import Checksum
from batcher.errors import PreconditionFailedError, RetryableError, UploadLostError
from batcher.stores.base import ObjectStore, Stored, Upload
from batcher.writing.encoder import Body, Encoder, parts_of
from batcher.writing.multipart import abort, part_bytes_for, uploading
from batcher.writing.object import Receipt, Target

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from batcher.settings import Settings
    from batcher.writing.pending import Flight

Send = Callable[[str | None], Awaitable[Stored]]
"""Writes under the condition that the key is free (None), or has this ETag."""


ENCODING_OVERHEAD = 1.01
"""The most that a codec makes of bytes it cannot compress, headers included."""


SMALL_BYTES = 64 * 1024
"""Text that is encoded in the event loop's own thread: 0.2 ms, or 4 ms with gzip-9."""


UPLOADS = 3
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

    async def write(self, flight: Flight) -> Receipt:
        """Write the flight's batch, and give the receipt when the object is durable.

        Leaving by an error or a cancellation leaves no object, no open upload and no part.

        Raises:
            RetryableError: the same batch may succeed later.
            RejectedError: the store refuses, and will again.
        """
        checksum = Checksum()
        body = Body()
        # What a source can send again has its whole metadata, so all of it is encoded first
        is_streamed = not flight.batch.route.origin.is_redelivered
        threshold_bytes = self._settings.multipart_threshold
        if flight.is_alone or _is_small(flight):
            await self._encoder.encode_here(flight, checksum, body)
            return await self._write_encoded(flight, body, checksum)
        async with aclosing(self._encoder.encoded(flight, checksum)) as encoded:
            async for piece in encoded:
                body.append(piece)
                if is_streamed and body.size_bytes >= threshold_bytes:
                    return await self._write_stream(flight, body, encoded)
        return await self._write_encoded(flight, body, checksum)

    async def _write_encoded(self, flight: Flight, body: Body, checksum: Checksum) -> Receipt:
        """Write one object whose whole body is there."""
        if body.size_bytes >= self._settings.multipart_threshold:
            return await self._write_parts(flight, body, checksum)
        return await self._write_whole(flight, body.rest(), checksum)

    async def _write_whole(self, flight: Flight, body: bytes, checksum: Checksum) -> Receipt:
        """Write one object by one PUT."""
        target = self._target(flight, checksum)

        async def put(replaces: str | None) -> Stored:
            return await self._store.put(target.key, body, target.about, replaces=replaces)

        await self._send(target, put)
        return target.receipt(len(body))

    async def _write_parts(self, flight: Flight, body: Body, checksum: Checksum) -> Receipt:
        """Write one object in parts, held to its end, so that a lost upload can be made anew."""
        target = self._target(flight, checksum)
        part_bytes = part_bytes_for(self._settings.part_size, body.size_bytes)
        parts = list(body.parts(part_bytes))
        uploads = 1
        while True:
            try:
                await self._upload(flight, target, _each(parts), part_bytes, is_held=True)
            except UploadLostError:
                if uploads == UPLOADS:
                    raise
                uploads += 1
            else:
                return target.receipt(body.total_bytes)

    async def _write_stream(
        self, flight: Flight, body: Body, encoded: AsyncIterator[bytes]
    ) -> Receipt:
        """Write one object in parts that leave while its batch grows, and are gone when sent."""
        target = self._target(flight, None)
        longest_bytes = max(flight.batch.size_bytes, self._settings.max_bytes) * ENCODING_OVERHEAD
        part_bytes = part_bytes_for(self._settings.part_size, int(longest_bytes))
        async with aclosing(parts_of(body, encoded, part_bytes)) as parts:
            await self._upload(flight, target, parts, part_bytes, is_held=False)
        return target.receipt(body.total_bytes)

    async def _upload(
        self,
        flight: Flight,
        target: Target,
        parts: AsyncIterable[bytes],
        part_bytes: int,
        *,
        is_held: bool,
    ) -> None:
        """Make one multipart upload, from its creation to its object.

        Raises:
            UploadLostError: it is gone; nothing is left of it.
        """
        async with uploading(self._store, target.key, target.about, part_bytes) as upload:
            try:
                async with asyncio.TaskGroup() as group:
                    await self._send_parts(flight, upload, group, parts, is_held=is_held)
            except BaseExceptionGroup as errors:  # except* wraps what it raises, on some Pythons
                raise first_of(errors) from errors

            async def complete(replaces: str | None) -> Stored:
                return await self._complete(upload, target, replaces)

            if not await self._send(target, complete):
                await abort(upload)  # our object was there already

    async def _send_parts(
        self,
        flight: Flight,
        upload: Upload,
        group: asyncio.TaskGroup,
        parts: AsyncIterable[bytes],
        *,
        is_held: bool,
    ) -> None:
        """Send parts side by side, no more at once than there may be requests in flight."""
        numbers = count(1)
        places = asyncio.Semaphore(self._settings.concurrency)
        async for part in parts:
            await places.acquire()
            sending = group.create_task(
                _send_part(flight, upload, next(numbers), part, is_held=is_held)
            )
            sending.add_done_callback(lambda _: places.release())

    async def _complete(self, upload: Upload, target: Target, replaces: str | None) -> Stored:
        """Complete an upload; where no answer tells how that ended, look for the object."""
        try:
            return await upload.complete(replaces=replaces)
        except RetryableError:
            there = await self._store.head(target.key)
            if there is not None and target.is_ours(there):
                return there
            raise

    async def _send(self, target: Target, send: Send) -> bool:
        """Send under the target's condition; give whether that made the object just now."""
        if target.is_fresh:
            return await create(send)
        return await create_or_replace(self._store, target.key, send, target.is_ours)

    def _target(self, flight: Flight, checksum: Checksum | None) -> Target:
        return Target(flight.batch, flight.fresh_name, checksum, self._settings)


def _is_small(flight: Flight) -> bool:
    """Say whether handing a batch to a thread would cost more than encoding it."""
    batch = flight.batch
    return batch.sealed is not None and batch.waiting_bytes == batch.size_bytes <= SMALL_BYTES


async def _send_part(
    flight: Flight, upload: Upload, number: int, part: bytes, *, is_held: bool
) -> None:
    """Send one part; unless it is held to the end, the budget has its bytes back when it is."""
    taken.set(None)  # the flight has one seat, however many of its parts wait
    flight.sending_bytes += len(part)
    try:
        await upload.put_part(number, part)
        if not is_held:
            flight.exchange(len(part), 0)
    finally:
        flight.sending_bytes -= len(part)


async def _each(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the first error of a group: those after it are mostly its echoes."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def create(send: Send) -> bool:
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
    store: ObjectStore, key: str, send: Send, is_ours: Callable[[Stored], bool]
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
