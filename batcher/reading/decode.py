"""Decode: an object's body, as a store gives it, to blocks of text, and those to lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from batcher.errors import DamagedError
from batcher.reading.decoder import Decoder
from batcher.reading.text import Cutter, lines_of


async def decoded(pieces: AsyncIterator[bytes], suffix: str) -> AsyncIterator[bytes]:
    """Decode a body to blocks of text of at most 1 MiB, off the event loop.

    Args:
        pieces: the body in order, some bytes at a time.
        suffix: what the object's name ends with, or the whole name: `.gz`, `.zst`, or neither.

    Raises:
        DamagedError: it cannot be decoded to its end; what was given before is what came first.
    """
    decoder = Decoder(suffix)
    async for piece in pieces:
        blocks = decoder.feed(piece)
        while (block := await asyncio.to_thread(next, blocks, b"")) != b"":
            yield block
    decoder.end()


async def lines(texts: AsyncIterator[bytes], max_line_bytes: int) -> AsyncIterator[list[bytes]]:
    """Cut blocks of text into complete lines, without their newlines; no list is empty.

    Raises:
        DamagedError: a line is longer than `max_line_bytes`, or the text ends within a line.
            All lines before it have been given.
    """
    cutter = Cutter()
    count = 0
    async for text in texts:
        found = lines_of(cutter.cut(text))
        is_short = [len(line) <= max_line_bytes for line in found]
        if not all(is_short):
            found = found[: is_short.index(False)]
        if found:
            yield found
        count += len(found)
        if not all(is_short) or cutter.waiting_bytes > max_line_bytes:
            msg = f"line {count + 1} is longer than {max_line_bytes} bytes"
            raise DamagedError(msg)
    if cutter.is_within_line:
        msg = f"the text ends within line {count + 1}"
        raise DamagedError(msg)
