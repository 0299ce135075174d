"""Encoder: a batch's text becomes its body, off the event loop where something overlaps."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from batcher.encode import Checksum, Codec, Encoded, Member, Members
from batcher.uninterrupted import uninterrupted

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from batcher.flight import Flight
    from batcher.settings import Settings

_QUARANTINE_CODEC = ("gzip", 1)


class Encoder:
    """Compresses members in threads, in the order of the text."""

    def __init__(self, settings: Settings, executor: Executor, threads: int) -> None:
        """Encode as the settings say, in the `threads` of `executor`."""
        self._executor = executor
        self._threads = threads
        self._codec = Codec(settings.compression, settings.compression_level)
        self._quarantine_codec = Codec(*_QUARANTINE_CODEC)

    async def encoded(self, flight: Flight, checksum: Checksum) -> AsyncGenerator[bytes]:
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
