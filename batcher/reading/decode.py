"""Decode: an object's body, as a store gives it, to blocks of text, and those to lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from itertools import takewhile

from batcher.errors import DamagedError
from batcher.reading.decoder import Decoder
from batcher.reading.text import Cutter, lines_of


async def decoded(pieces: AsyncIterator[bytes], suffix: str) -> AsyncGenerator[bytes, None]:
    """Decode a body to blocks of text of at most 1 MiB, off the event loop.

    Args:
        pieces: the body in order, some bytes at a time.
        suffix: what the object's name ends with, or the whole name: `.gz`, `.zst`, or neither.

    Raises:
        DamagedError: it cannot be decoded to its end; what was given before is what came first.
    """
    decoder = Decoder(suffix)
    try:
        async for piece in pieces:
            blocks = decoder.feed(piece)
            while (block := await asyncio.to_thread(next, blocks, b"")) != b"":
                yield block
        decoder.end()
    finally:
        if isinstance(pieces, AsyncGenerator):  # as readers give them; else the loop would do it
            await pieces.aclose()


async def whole_lines(
    texts: AsyncIterator[bytes], max_line_bytes: int
) -> AsyncGenerator[bytes, None]:
    """Cut blocks of text where lines end: each that is given ends with a newline.

    Raises:
        DamagedError: a line goes on for more than `max_line_bytes`, or the text ends within one.
            All lines before it have been given.
    """
    cutter = Cutter()
    count = 0
    async for text in texts:
        if found := cutter.cut(text):
            yield found
        count += found.count(b"\n")
        if cutter.waiting_bytes > max_line_bytes:
            raise _too_long(count + 1, max_line_bytes)
    if cutter.is_within_line:
        msg = f"the text ends within line {count + 1}"
        raise DamagedError(msg)


async def lines(
    texts: AsyncIterator[bytes], max_line_bytes: int
) -> AsyncGenerator[list[bytes], None]:
    """Cut blocks of text into complete lines, without their newlines; no list is empty.

    Raises:
        DamagedError: as `whole_lines`, or a line has more than `max_line_bytes`.
    """
    count = 0
    async with aclosing(whole_lines(texts, max_line_bytes)) as wholes:
        async for text in wholes:
            found = lines_of(text)
            if len(text) > max_line_bytes and max(map(len, found)) > max_line_bytes:
                short = list(takewhile(lambda line: len(line) <= max_line_bytes, found))
                if short:
                    yield short
                raise _too_long(count + len(short) + 1, max_line_bytes)
            yield found
            count += len(found)


def _too_long(number: int, max_line_bytes: int) -> DamagedError:
    return DamagedError(f"line {number} is longer than {max_line_bytes} bytes")
