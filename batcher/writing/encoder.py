"""Encoder: a batch's text becomes its body, off the event loop where something overlaps."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from batcher.concurrency import shielded
from batcher.encoding.codec import (
    Checksum,
    Codec,
    EncodedMember,
    Member,
    MemberSplitter,
)
from batcher.writing.object import choose_format

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from batcher.keys.object_format import ObjectFormat
    from batcher.settings import Settings
    from batcher.writing.pending import PendingBatch

YIELD_INTERVAL_BYTES = 2 * 1024**2
"""Text that is encoded here before the event loop has a turn: 5 ms, or 120 ms with gzip-9."""


class Encoder:
    """Compresses members in threads, in the order of the text."""

    def __init__(self, settings: Settings, executor: Executor, threads: int) -> None:
        """Encode as the settings say, in the `threads` of `executor`."""
        self._executor = executor
        self._threads = threads
        self._settings = settings
        self._codecs: dict[ObjectFormat, Codec] = {}

    async def encode_stream(
        self, pending: PendingBatch, checksum: Checksum
    ) -> AsyncGenerator[bytes]:
        """Return batch's body piece by piece, as its text comes, until it is sealed and done."""
        codec = self._choose_codec(pending)
        members = MemberSplitter()
        is_over = False
        while not is_over:
            texts = await pending.next_texts()
            is_over = pending.is_exhausted
            full = [member for text in texts for member in members.feed(text)]
            del texts  # the members hold what is still needed
            if is_over and members.buffered_bytes:
                full.append(members.finish())
            async with aclosing(self._encode_in_threads(codec, full)) as encodings:
                async for encoded in encodings:
                    for piece in _count_encoded(encoded, pending, checksum):
                        yield piece

    async def encode_inline(
        self, pending: PendingBatch, checksum: Checksum, buffer: BytesBuffer
    ) -> None:
        """Encode a sealed batch into `body` in the event loop's own thread, where its text is warm.

        For the one object of an event there is no network that threads could overlap with; they
        would cost 3 % of the event, and a generator 2 %. The loop looks at its deadline in between.
        """
        codec = self._choose_codec(pending)
        members = MemberSplitter()
        batch = pending.batch
        while batch.unencoded_bytes:
            until_bytes = max(0, batch.unencoded_bytes - YIELD_INTERVAL_BYTES)
            while batch.unencoded_bytes > until_bytes:
                for text in batch.take_texts(1):  # one piece, made now
                    for piece in _count_encoded(
                        codec.encode(members.feed(text)), pending, checksum
                    ):
                        buffer.append(piece)
            if batch.unencoded_bytes:
                await asyncio.sleep(0)
        if members.buffered_bytes:
            for piece in _count_encoded(codec.encode([members.finish()]), pending, checksum):
                buffer.append(piece)

    def _choose_codec(self, pending: PendingBatch) -> Codec:
        object_format = choose_format(pending.batch.route, self._settings)
        codec = self._codecs.get(object_format)
        if codec is None:
            codec = Codec(object_format.compression, object_format.compression_level)
            self._codecs[object_format] = codec
        return codec

    async def _encode_in_threads(
        self, codec: Codec, members: list[Member]
    ) -> AsyncGenerator[list[EncodedMember]]:
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
                await shielded(asyncio.wait(running))


def _count_encoded(
    encoded: list[EncodedMember], pending: PendingBatch, checksum: Checksum
) -> Iterator[bytes]:
    """Return the bytes of members, counted in the checksum, and held in place of their text."""
    for piece, crc32, text_bytes in encoded:
        checksum.add(crc32, text_bytes)
        pending.replace_held(text_bytes, len(piece))
        yield piece


class BytesBuffer:
    """Encoded bytes that wait to be sent."""

    def __init__(self) -> None:
        """Start empty."""
        self._pieces: deque[bytes] = deque()
        self.size_bytes = 0
        self.appended_bytes = 0
        """All bytes that ever were in it."""

    def append(self, piece: bytes) -> None:
        """Put a piece at its end."""
        self._pieces.append(piece)
        self.size_bytes += len(piece)
        self.appended_bytes += len(piece)

    def take(self, size_bytes: int) -> bytes:
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

    def take_all(self) -> bytes:
        """Take all that is left."""
        return self.take(self.size_bytes)

    def take_full_parts(self, part_bytes: int) -> Iterator[bytes]:
        """Take parts of `part_bytes` off its start, as long as there are such."""
        while self.size_bytes >= part_bytes:
            yield self.take(part_bytes)

    def take_parts(self, part_bytes: int) -> Iterator[bytes]:
        """Take all that is left in parts of one size; the last one may be shorter."""
        yield from self.take_full_parts(part_bytes)
        if self.size_bytes:
            yield self.take_all()


async def iter_parts(
    buffer: BytesBuffer, pieces: AsyncIterator[bytes], part_bytes: int
) -> AsyncGenerator[bytes]:
    """Cut a body into parts of one size as it comes; the last one may be shorter."""
    for part in buffer.take_full_parts(part_bytes):
        yield part
    async for piece in pieces:
        buffer.append(piece)
        for part in buffer.take_full_parts(part_bytes):
            yield part
    if buffer.size_bytes:
        yield buffer.take_all()
