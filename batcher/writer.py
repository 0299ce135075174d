"""Writer: one batch becomes one object, or nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING

from batcher.encode import Checksum, Codec, Encoded, Member, Members
from batcher.errors import BatcherError, PreconditionFailedError, RetryableError
from batcher.keys import key_of, name_of
from batcher.parts import part_bytes_for
from batcher.receipt import DIGEST, Receipt, content_type, metadata
from batcher.stores.base import About, ObjectStore, Stored, Upload
from batcher.uninterrupted import uninterrupted

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from batcher.batch import Batch
    from batcher.flight import Flight
    from batcher.settings import Settings

ABORT_TIMEOUT_S = 1.0
"""The most an abort may take: it runs within the deadline margin of a Lambda function."""
ENCODING_OVERHEAD = 1.01
"""The most that a codec makes of bytes it cannot compress, headers included."""
_QUARANTINE_CODEC = ("gzip", 1)


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
        self._executor = executor
        self._threads = threads
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._codec = Codec(settings.compression, settings.compression_level)
        self._quarantine_codec = Codec(*_QUARANTINE_CODEC)

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
        async with aclosing(self._encoded(flight, checksum)) as encoded:
            async for piece in encoded:
                body.append(piece)
                if is_streamed and body.size_bytes >= threshold_bytes:
                    return await self._write_parts(flight, body, encoded, None)
            if body.size_bytes >= threshold_bytes:
                return await self._write_parts(flight, body, encoded, checksum)
        return await self._write_whole(flight, body.rest(), checksum)

    async def _write_whole(self, flight: Flight, body: bytes, checksum: Checksum) -> Receipt:
        """Write one object by one PUT."""
        batch = flight.batch
        key, digest, about = self._describe(flight, checksum)

        async def put(replaces: str | None) -> Stored:
            async with self._slots:
                return await self._store.put(key, body, about, replaces=replaces)

        await self._create_or_replace(batch, key, digest, put)
        return Receipt(key, batch.records, len(body), batch.route.is_quarantine)

    async def _write_parts(
        self, flight: Flight, body: Body, encoded: AsyncIterator[bytes], checksum: Checksum | None
    ) -> Receipt:
        """Write one object by a multipart upload: what `body` has, then the rest of `encoded`."""
        batch = flight.batch
        key, digest, about = self._describe(flight, checksum)
        longest_bytes = max(batch.size_bytes, self._settings.max_bytes) * ENCODING_OVERHEAD
        part_bytes = part_bytes_for(self._settings.part_size, int(longest_bytes))
        async with uploading(self._store, key, about, part_bytes) as upload:
            try:
                async with asyncio.TaskGroup() as parts:
                    await self._send_parts(flight, upload, parts, _parts(body, encoded, part_bytes))
            except BaseExceptionGroup as group:  # except* wraps what it raises, on some Pythons
                raise first_of(group) from group

            async def complete(replaces: str | None) -> Stored:
                async with self._slots:
                    return await self._complete(upload, key, batch, digest, replaces)

            if not await self._create_or_replace(batch, key, digest, complete):
                await _abort(upload)  # our object was there already
        return Receipt(key, batch.records, body.total_bytes, batch.route.is_quarantine)

    async def _send_parts(
        self,
        flight: Flight,
        upload: Upload,
        group: asyncio.TaskGroup,
        parts: AsyncGenerator[bytes],
    ) -> None:
        """Send parts side by side, each in a slot that it gives back however it ends."""
        numbers = count(1)
        async with aclosing(parts):
            async for part in parts:
                await self._slots.acquire()
                sending = group.create_task(_send_part(flight, upload, next(numbers), part))
                sending.add_done_callback(lambda _: self._slots.release())

    async def _complete(
        self, upload: Upload, key: str, batch: Batch, digest: str, replaces: str | None
    ) -> Stored:
        """Complete an upload; a lost answer is looked for, and the call repeated once."""
        try:
            return await upload.complete(replaces=replaces)
        except RetryableError:
            there = await self._store.head(key)
            if there is not None and _is_ours(there, batch, digest):
                return there
            return await upload.complete(replaces=replaces)

    async def _create_or_replace(
        self, batch: Batch, key: str, digest: str, send: Callable[[str | None], Awaitable[Stored]]
    ) -> bool:
        """Send under the condition that the key is free, or holds what we may replace.

        Gives whether our request made the object; False: it was there before, and is ours.
        """
        try:
            await send(None)
        except PreconditionFailedError as taken:
            if not batch.route.origin.is_redelivered:
                return False  # nobody else has this key: an earlier try of ours succeeded
            there = await self._store.head(key)
            if there is None:
                msg = f"{key}: an object that was there is gone; to be sent again"
                raise RetryableError(msg) from taken
            if _is_ours(there, batch, digest):
                return False
            try:
                await send(there.etag)
            except PreconditionFailedError as changed:
                msg = f"{key}: another writer replaced it at the same time; to be sent again"
                raise RetryableError(msg) from changed
        return True

    async def _encoded(self, flight: Flight, checksum: Checksum) -> AsyncGenerator[bytes]:
        """Give the batch's body piece by piece, as its text comes, until it is sealed and done."""
        is_quarantine = flight.batch.route.is_quarantine
        codec = self._quarantine_codec if is_quarantine else self._codec
        members = Members()
        is_over = False
        while not is_over:
            texts = await flight.next_texts()
            is_over = flight.is_all_taken
            full = [member for text in texts for member in members.cut(text)]
            del texts  # the members hold what is still needed
            if is_over and members.waiting_bytes:
                full.append(members.rest())
            async with aclosing(self._compressed(flight, codec, full, checksum)) as pieces:
                async for piece in pieces:
                    yield piece

    async def _compressed(
        self,
        flight: Flight,
        codec: Codec,
        members: list[Member],
        checksum: Checksum,
    ) -> AsyncGenerator[bytes]:
        """Compress members, and give their bytes in their order."""
        if flight.is_alone:
            encodings = self._encode_here(codec, members)
        else:
            encodings = self._encode_in_threads(codec, members)
        async with aclosing(encodings):
            async for encoded in encodings:
                for piece, crc32, text_bytes in encoded:
                    checksum.add(crc32, text_bytes)
                    flight.exchange(text_bytes, len(piece))
                    yield piece

    async def _encode_here(
        self, codec: Codec, members: list[Member]
    ) -> AsyncGenerator[list[Encoded]]:
        """Encode member by member in the event loop's own thread, where its text is warm.

        For the one object of an event there is no network that threads could overlap with; they
        would cost 3 % of the event. The loop looks at its deadline between members.
        """
        while members:
            yield codec.encode([members.pop(0)])
            await asyncio.sleep(0)

    async def _encode_in_threads(
        self, codec: Codec, members: list[Member]
    ) -> AsyncGenerator[list[Encoded]]:
        """Encode side by side; each thread gets its share at once, for every hand-over costs."""
        loop = asyncio.get_running_loop()
        share = max(1, -(-len(members) // self._threads))
        shares = [members[i : i + share] for i in range(0, len(members), share)]
        running = deque(loop.run_in_executor(self._executor, codec.encode, s) for s in shares)
        shares.clear()
        members.clear()  # the threads hold what is still needed
        try:
            while running:
                encoded = await asyncio.shield(running[0])
                running.popleft()
                yield encoded
        finally:
            if running:  # a thread cannot be cancelled; a member takes it some milliseconds
                await uninterrupted(asyncio.wait(running))

    def _describe(self, flight: Flight, checksum: Checksum | None) -> tuple[str, str, About]:
        """Give an object's key, its digest, and what stands beside its body."""
        batch = flight.batch
        digest = batch.digest()
        key = key_of(batch, name_of(batch, digest, flight.fresh_name), self._settings)
        beside = metadata(batch, digest, checksum, self._settings.metadata)
        return key, digest, About(content_type(batch, self._settings), beside)


class Body:
    """Encoded bytes that wait to be sent."""

    def __init__(self) -> None:
        """Start empty."""
        self._pieces: deque[bytes] = deque()
        self.size_bytes = 0
        self.total_bytes = 0
        """All bytes that ever were in it."""

    def append(self, piece: bytes) -> None:
        """Put a piece at its end."""
        self._pieces.append(piece)
        self.size_bytes += len(piece)
        self.total_bytes += len(piece)

    def cut(self, size_bytes: int) -> bytes:
        """Take so many bytes off its start; it has at least as many."""
        taken: list[bytes | memoryview] = []
        missing = size_bytes
        while missing:
            piece = self._pieces.popleft()
            if len(piece) > missing:
                self._pieces.appendleft(piece[missing:])
                piece = piece[:missing]
            taken.append(piece)
            missing -= len(piece)
        self.size_bytes -= size_bytes
        return b"".join(taken)

    def rest(self) -> bytes:
        """Take all that is left."""
        return self._pieces[0] if len(self._pieces) == 1 else self.cut(self.size_bytes)


async def _send_part(flight: Flight, upload: Upload, number: int, part: bytes) -> None:
    """Send one part; its bytes go back to the budget when it is acknowledged."""
    flight.sending_bytes += len(part)
    try:
        await upload.put_part(number, part)
        flight.exchange(len(part), 0)
    finally:
        flight.sending_bytes -= len(part)


async def _parts(
    body: Body, encoded: AsyncIterator[bytes], part_bytes: int
) -> AsyncGenerator[bytes]:
    """Cut a body into parts of one size as it comes; the last one may be shorter."""
    while body.size_bytes >= part_bytes:
        yield body.cut(part_bytes)
    async for piece in encoded:
        body.append(piece)
        while body.size_bytes >= part_bytes:
            yield body.cut(part_bytes)
    if body.size_bytes:
        yield body.cut(body.size_bytes)


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
        await _abort(upload)
        raise


async def _abandon(creating: asyncio.Future[Upload]) -> None:
    """Abort an upload whose creation is still in flight: it may be open at the store by now."""
    await asyncio.wait([creating], timeout=ABORT_TIMEOUT_S)
    creating.cancel()
    await asyncio.wait([creating])
    if not creating.cancelled() and creating.exception() is None:
        await _abort(creating.result())


async def _abort(upload: Upload) -> None:
    """Abort, whatever else happens; the bucket's lifecycle rule is the net below."""
    with suppress(BatcherError, TimeoutError):  # the first error tells the story
        await uninterrupted(asyncio.wait_for(upload.abort(), ABORT_TIMEOUT_S))


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the first error of a group: those after it are mostly its echoes."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _is_ours(there: Stored, batch: Batch, digest: str) -> bool:
    """Say whether an object under this key is the one we sent: fresh keys can hold no other."""
    return not batch.route.origin.is_redelivered or there.metadata.get(DIGEST) == digest
