"""Quarantine object: read it, mark its lines, and replace it if it was not changed since."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batcher.encoding.codec import Checksum, encode_text
from batcher.encoding.positions_field import add_positions
from batcher.errors import DamagedError, PreconditionFailedError, RetryableError
from batcher.keys.object_format import QUARANTINE_FORMAT
from batcher.reading.stream import decode_body
from batcher.records.chunk import positions_digest
from batcher.records.positions import encode_positions
from batcher.stores.base import ObjectAttributes, ObjectInfo, ObjectReader, ObjectStore
from batcher.tools.formatting import format_size
from batcher.tools.replay.marks import QuarantineLine, ReplayMark, join_lines, parse_lines
from batcher.writing.object import (
    METADATA_BYTES,
    METADATA_CRC32,
    METADATA_DIGEST,
    METADATA_POSITIONS,
    is_guard,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_READS = 3
"""How often an object is read from its start, if the store fails meanwhile."""


@dataclass(frozen=True, slots=True)
class QuarantineObject:
    """One version of a quarantine object."""

    key: str
    lines: Sequence[QuarantineLine]
    info: ObjectInfo
    content_type: str

    def with_marks(self, marks: Mapping[str, ReplayMark | None]) -> QuarantineObject:
        """Return the object with these marks, by identity. None removes a line's mark."""
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
        reader: reads the object.
        key: the key, including the root.
        max_bytes: the most text that it may have.
        on_read: called with the object's stored bytes after it was read.

    Raises:
        DamagedError: the object cannot be decompressed, or has more text than allowed.
        NotFoundError: the object was removed.
        RetryableError: the store failed each time. Try again later.
        RejectedError: the store refuses the request. The message says what to do.
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
                msg = f"more than {format_size(max_bytes)} of text; raise budget_bytes"
                raise DamagedError(msg)
    on_read(opened.info.size_bytes)
    is_empty = is_guard(opened.info.metadata)
    lines = [] if is_empty else await asyncio.to_thread(parse_lines, bytes(text))
    return QuarantineObject(key, lines, opened.info, opened.content_type)


async def replace_quarantine_object(
    store: ObjectStore, quarantine_object: QuarantineObject
) -> QuarantineObject | None:
    """Replace the version that was read with this one. Return the new version.

    Return None if the store no longer has the version that was read.

    All metadata but checksum and size stays, and so does a positions list in the body. By these, a
    redelivery finds out which of its records the object holds.
    """
    body, checksum = await asyncio.to_thread(_encode_lines, quarantine_object)
    body_metadata = {
        METADATA_CRC32: f"{checksum.crc32:08x}",
        METADATA_BYTES: str(checksum.size_bytes),
    }
    attributes = ObjectAttributes(
        quarantine_object.content_type, {**quarantine_object.info.metadata, **body_metadata}
    )
    try:
        stored = await store.put(
            quarantine_object.key, body, attributes, if_match=quarantine_object.info.etag
        )
    except PreconditionFailedError:
        return None
    return QuarantineObject(
        quarantine_object.key, quarantine_object.lines, stored, quarantine_object.content_type
    )


def _encode_lines(quarantine_object: QuarantineObject) -> tuple[bytes, Checksum]:
    """Return the body with its positions list, if that is not in the metadata."""
    lines, metadata = quarantine_object.lines, quarantine_object.info.metadata
    compression = QUARANTINE_FORMAT.compression
    body, checksum = encode_text(
        join_lines(lines), compression, QUARANTINE_FORMAT.compression_level
    )
    positions = [line.position for line in lines if not line.fault]
    if METADATA_POSITIONS in metadata or metadata.get(METADATA_DIGEST) != positions_digest(
        positions
    ):
        return body, checksum
    positions_list = encode_positions(positions)
    if positions_list is not None:
        body = add_positions(body, compression, positions_list) or body
    return body, checksum
