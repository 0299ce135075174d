"""Writer: one batch becomes one object, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import aclosing
from itertools import count
from typing import TYPE_CHECKING

from batcher.body import Body, parts_of
from batcher.conditional import Send, create, create_or_replace
from batcher.encode import Checksum
from batcher.encoder import Encoder
from batcher.errors import RetryableError, UploadLostError
from batcher.keys import key_of, name_of
from batcher.parts import part_bytes_for
from batcher.receipt import DIGEST, Receipt, content_type, metadata
from batcher.seats import taken
from batcher.stores.base import About, ObjectStore, Stored, Upload
from batcher.uploading import abort, uploading

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from batcher.flight import Flight
    from batcher.settings import Settings

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
        return Target(flight, checksum, self._settings)


class Target:
    """The object that a flight becomes: its key, what stands beside its body, how it is known."""

    def __init__(self, flight: Flight, checksum: Checksum | None, settings: Settings) -> None:
        """Name and describe the object by what is known of the batch now."""
        batch = self._batch = flight.batch
        self._digest = batch.digest()
        self.is_fresh = not batch.route.origin.is_redelivered
        """Whether nobody else can ever write its key."""
        self.key = key_of(batch, name_of(batch, self._digest, flight.fresh_name), settings)
        beside = metadata(batch, self._digest, checksum, settings.metadata)
        self.about = About(content_type(batch, settings), beside)

    def is_ours(self, there: Stored) -> bool:
        """Say whether an object under this key is the one we send."""
        return self.is_fresh or there.metadata.get(DIGEST) == self._digest

    def receipt(self, size_bytes: int) -> Receipt:
        """Give the receipt for an object of so many bytes that is durable."""
        batch = self._batch
        return Receipt(self.key, batch.records, size_bytes, batch.route.is_quarantine)


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
