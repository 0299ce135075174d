"""Page: a quarantine object that is read, marked, and put back in place of what was read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batcher.encoding.codec import QUARANTINE_CODEC, Checksum, Codec, encode_whole
from batcher.errors import DamagedError, PreconditionFailedError, RetryableError
from batcher.reading.stream import decoded
from batcher.stores.base import About, ObjectReader, ObjectStore, Stored
from batcher.tools.formatting import show_size
from batcher.tools.replay.marks import Line, Mark, read_lines, text_of
from batcher.writing.object import BYTES, CRC32

if TYPE_CHECKING:
    from collections.abc import Sequence

READS = 3
"""How often an object is read from its start, when its body ends early."""


@dataclass(frozen=True, slots=True)
class Page:
    """One quarantine object, as it was read."""

    key: str
    lines: Sequence[Line]
    stored: Stored
    content_type: str

    def marked(self, marks: Mapping[str, Mark | None]) -> Page:
        """Give the page with these marks, by identity; None takes a mark off."""
        lines = [
            line.marked(marks[line.identity]) if line.identity in marks else line
            for line in self.lines
        ]
        return Page(self.key, lines, self.stored, self.content_type)


async def read_page(
    reader: ObjectReader, key: str, max_bytes: int, count: Callable[[int], None]
) -> Page:
    """Read a quarantine object.

    Args:
        reader: where it is.
        key: its full key.
        max_bytes: the most text that is held.
        count: told of the bytes that were read.

    Raises:
        DamagedError: it cannot be decompressed, or is larger than allowed.
        NotFoundError: it is gone.
        RetryableError: the store is busy.
        RejectedError: the store refuses.
    """
    for attempt in range(1, READS + 1):
        try:
            return await _read(reader, key, max_bytes, count)
        except DamagedError as error:
            msg = f"{key}: {error}"
            raise DamagedError(msg) from error
        except RetryableError:
            if attempt == READS:
                raise
    raise AssertionError


async def _read(
    reader: ObjectReader, key: str, max_bytes: int, count: Callable[[int], None]
) -> Page:
    text = bytearray()
    async with reader.reading(key) as opened:
        async for piece in decoded(opened.pieces, ".gz"):
            text += piece
            if len(text) > max_bytes:
                msg = f"more than {show_size(max_bytes)} of text: raise budget_bytes"
                raise DamagedError(msg)
    count(opened.stored.size_bytes)
    lines = await asyncio.to_thread(read_lines, bytes(text))
    return Page(key, lines, opened.stored, opened.content_type)


async def put_back(store: ObjectStore, page: Page) -> Page | None:
    """Write a page in place of the object that was read; None: that one is not there any more.

    The metadata that a redelivered handler knows its own object by stays as it is, so the handler
    leaves the marks alone.
    """
    body, checksum = await asyncio.to_thread(_encoded, page.lines)
    known = {
        CRC32: f"{checksum.crc32:08x}",
        BYTES: str(checksum.size_bytes),
    }
    about = About(page.content_type, {**page.stored.metadata, **known})
    try:
        stored = await store.put(page.key, body, about, replaces=page.stored.etag)
    except PreconditionFailedError:
        return None
    return Page(page.key, page.lines, stored, page.content_type)


def _encoded(lines: Sequence[Line]) -> tuple[bytes, Checksum]:
    return encode_whole(text_of(lines), Codec(*QUARANTINE_CODEC))
