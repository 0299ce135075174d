"""Page: a quarantine object that is read, marked, and put back in place of what was read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batcher.encoding.codec import QUARANTINE_CODEC, Checksum, Codec, encode_text
from batcher.errors import DamagedError, PreconditionFailedError, RetryableError
from batcher.reading.stream import decode_body
from batcher.stores.base import ObjectAttributes, ObjectInfo, ObjectReader, ObjectStore
from batcher.tools.formatting import format_size
from batcher.tools.replay.marks import QuarantineLine, ReplayMark, join_lines, parse_lines
from batcher.writing.object import METADATA_BYTES, METADATA_CRC32

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_READS = 3
"""How often an object is read from its start, when its body ends early."""


@dataclass(frozen=True, slots=True)
class QuarantineObject:
    """One quarantine object, as it was read."""

    key: str
    lines: Sequence[QuarantineLine]
    info: ObjectInfo
    content_type: str

    def with_marks(self, marks: Mapping[str, ReplayMark | None]) -> QuarantineObject:
        """Return the page with these marks, by identity; None takes a mark off."""
        lines = [
            line.with_mark(marks[line.identity]) if line.identity in marks else line
            for line in self.lines
        ]
        return QuarantineObject(self.key, lines, self.info, self.content_type)


async def read_quarantine_object(
    reader: ObjectReader, key: str, max_bytes: int, on_read: Callable[[int], None]
) -> QuarantineObject:
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
    for attempt in range(1, MAX_READS + 1):
        try:
            return await _read_once(reader, key, max_bytes, on_read)
        except DamagedError as error:
            msg = f"{key}: {error}"
            raise DamagedError(msg) from error
        except RetryableError:
            if attempt == MAX_READS:
                raise
    raise AssertionError


async def _read_once(
    reader: ObjectReader, key: str, max_bytes: int, on_read: Callable[[int], None]
) -> QuarantineObject:
    text = bytearray()
    async with reader.open_object(key) as opened:
        async for piece in decode_body(opened.pieces, ".gz"):
            text += piece
            if len(text) > max_bytes:
                msg = f"more than {format_size(max_bytes)} of text: raise budget_bytes"
                raise DamagedError(msg)
    on_read(opened.info.size_bytes)
    lines = await asyncio.to_thread(parse_lines, bytes(text))
    return QuarantineObject(key, lines, opened.info, opened.content_type)


async def replace_quarantine_object(
    store: ObjectStore, quarantine_object: QuarantineObject
) -> QuarantineObject | None:
    """Write a page in place of the object that was read; None: that one is not there any more.

    The metadata that a redelivered handler knows its own object by stays as it is, so the handler
    leaves the marks alone.
    """
    body, checksum = await asyncio.to_thread(_encode_lines, quarantine_object.lines)
    known = {
        METADATA_CRC32: f"{checksum.crc32:08x}",
        METADATA_BYTES: str(checksum.size_bytes),
    }
    about = ObjectAttributes(
        quarantine_object.content_type, {**quarantine_object.info.metadata, **known}
    )
    try:
        stored = await store.put(
            quarantine_object.key, body, about, if_match=quarantine_object.info.etag
        )
    except PreconditionFailedError:
        return None
    return QuarantineObject(
        quarantine_object.key, quarantine_object.lines, stored, quarantine_object.content_type
    )


def _encode_lines(lines: Sequence[QuarantineLine]) -> tuple[bytes, Checksum]:
    return encode_text(join_lines(lines), Codec(*QUARANTINE_CODEC))
