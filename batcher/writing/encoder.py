"""Encoder: compresses a batch's text to its body, in threads where that overlaps with sending."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from batcher.concurrency import shielded
from batcher.encoding.codec import (
    Block,
    BlockSplitter,
    BodyEncoder,
    Checksum,
    EncodedBlock,
    open_body,
)
from batcher.writing.object import choose_format

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from batcher.settings import Settings
    from batcher.writing.pending import PendingBatch

YIELD_INTERVAL_BYTES = 2 * 1024**2
"""Text encoded in the event loop's thread between two yields: 5 ms, or 120 ms with gzip-9."""


class Encoder:
    """Compresses blocks in threads, in the order of the text."""

    def __init__(self, settings: Settings, executor: Executor, threads: int) -> None:
        """Encode by the settings, in the `threads` threads of `executor`."""
        self._executor = executor
        self._threads = threads
        self._settings = settings

    async def encode_stream(
        self, pending: PendingBatch, checksum: Checksum
    ) -> AsyncGenerator[bytes]:
        """Yield the batch's body in pieces as its text arrives, until it is sealed and encoded."""
        texts = await pending.next_texts()
        body = self._open_body(pending)
        pending.replace_held(0, body.held_bytes)
        yield _hold(body.header, pending)
        splitter = BlockSplitter()
        while True:
            is_over = pending.is_exhausted
            full = [block for text in texts for block in splitter.feed(text)]
            del texts  # blocks reference what is still needed, so the rest is freed
            if is_over and splitter.buffered_bytes:
                full.append(splitter.finish())
            async with aclosing(self._encode_in_threads(body, full)) as encodings:
                async for encoded in encodings:
                    for piece in _count_encoded(encoded, pending, checksum):
                        yield piece
            if is_over:
                break
            texts = await pending.next_texts()
        pending.replace_held(body.held_bytes, 0)
        yield _hold(body.finish(checksum), pending)

    async def encode_inline(
        self, pending: PendingBatch, checksum: Checksum, buffer: BytesBuffer
    ) -> None:
        """Encode a sealed batch into `buffer` in the event loop's own thread.

        With a single object per event there is no network transfer that threads could overlap
        with. Threads would cost 3 % of the event's time, and a generator 2 %. The event loop gets
        a turn after every `YIELD_INTERVAL_BYTES`, so that a deadline can end this.
        """
        body = self._open_body(pending)
        buffer.append(_hold(body.header, pending))
        splitter = BlockSplitter()
        batch = pending.batch
        while batch.unencoded_bytes:
            until_bytes = max(0, batch.unencoded_bytes - YIELD_INTERVAL_BYTES)
            while batch.unencoded_bytes > until_bytes:
                for text in batch.take_texts(1):  # one piece, joined only now
                    for piece in _count_encoded(
                        body.encode(splitter.feed(text)), pending, checksum
                    ):
                        buffer.append(piece)
            if batch.unencoded_bytes:
                await asyncio.sleep(0)
        if splitter.buffered_bytes:
            for piece in _count_encoded(body.encode([splitter.finish()]), pending, checksum):
                buffer.append(piece)
        buffer.append(_hold(body.finish(checksum), pending))

    def _open_body(self, pending: PendingBatch) -> BodyEncoder:
        batch = pending.batch
        stored_as = choose_format(batch.route, self._settings)
        text_bytes = None if batch.seal_reason is None else batch.size_bytes
        return open_body(stored_as.compression, stored_as.compression_level, text_bytes)

    async def _encode_in_threads(
        self, body: BodyEncoder, blocks: list[Block]
    ) -> AsyncGenerator[list[EncodedBlock]]:
        """Encode in all threads. Each gets its whole share at once: every hand-over costs time."""
        loop = asyncio.get_running_loop()
        threads = self._threads if body.is_parallel else 1
        share = max(1, -(-len(blocks) // threads))
        shares = [blocks[i : i + share] for i in range(0, len(blocks), share)]
        running = deque(loop.run_in_executor(self._executor, body.encode, s) for s in shares)
        shares.clear()
        blocks.clear()  # the threads reference what is still needed
        try:
            while running:
                encoded = await asyncio.shield(running[0])
                running.popleft()
                yield encoded
        finally:
            if running:  # a thread cannot be cancelled, but needs only milliseconds per block
                await shielded(asyncio.wait(running))


def _count_encoded(
    encoded: list[EncodedBlock], pending: PendingBatch, checksum: Checksum
) -> Iterator[bytes]:
    """Yield the bytes of blocks. Add them to the checksum, and hold them instead of their text."""
    for piece, crc32, text_bytes in encoded:
        checksum.add(crc32, text_bytes)
        pending.replace_held(text_bytes, len(piece))
        yield piece


def _hold(piece: bytes, pending: PendingBatch) -> bytes:
    """Return a piece that has no text of its own, held from now on."""
    pending.replace_held(0, len(piece))
    return piece


class BytesBuffer:
    """A FIFO of encoded bytes that are not sent yet."""

    def __init__(self) -> None:
        """Start empty."""
        self._pieces: deque[bytes] = deque()
        self.size_bytes: int = 0
        self.appended_bytes: int = 0
        """All bytes appended since the start."""

    def append(self, piece: bytes) -> None:
        """Append a piece at the end."""
        self._pieces.append(piece)
        self.size_bytes += len(piece)
        self.appended_bytes += len(piece)

    def put_back(self, piece: bytes) -> None:
        """Put a piece at the start, in place of what was taken last."""
        self._pieces.appendleft(piece)
        self.size_bytes += len(piece)

    def take(self, size_bytes: int) -> bytes:
        """Remove and return the first `size_bytes` bytes. The buffer must hold at least as many."""
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
        """Remove and return all bytes."""
        return self.take(self.size_bytes)

    def take_full_parts(self, part_bytes: int) -> Iterator[bytes]:
        """Remove and yield parts of exactly `part_bytes`, as long as there are enough bytes."""
        while self.size_bytes >= part_bytes:
            yield self.take(part_bytes)

    def take_parts(self, part_bytes: int) -> Iterator[bytes]:
        """Remove and yield all bytes in parts of one size. The last part may be shorter."""
        yield from self.take_full_parts(part_bytes)
        if self.size_bytes:
            yield self.take_all()


async def iter_parts(
    buffer: BytesBuffer, pieces: AsyncIterator[bytes], part_bytes: int
) -> AsyncGenerator[bytes]:
    """Yield a body in parts of one size as its pieces arrive. The last part may be shorter."""
    for part in buffer.take_full_parts(part_bytes):
        yield part
    async for piece in pieces:
        buffer.append(piece)
        for part in buffer.take_full_parts(part_bytes):
            yield part
    if buffer.size_bytes:
        yield buffer.take_all()
