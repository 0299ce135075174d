"""Where a body holds the positions list of its object, so that every decoder ignores it.

gzip: a subfield of the first member's header. Source: RFC 1952, 2.3.1.1.
zstd: a skippable frame after the data. Source: RFC 8878, 3.1.2.
A body that is not compressed has no such place.
"""

from __future__ import annotations

import struct

MAX_GZIP_LIST_BYTES = 0xFFFF - 4
"""A gzip header's extra field has at most 65,535 bytes, with 4 of the subfield."""

GZIP_HEADER_BYTES = 12 + 0xFFFF
"""The longest start of a gzip body that has to be read for its list."""

ZSTD_TAIL_BYTES = 64 * 1024
"""The end of a zstd body that is read first. A longer list needs a second read."""

_GZIP_MAGIC = b"\x1f\x8b\x08"

_FEXTRA = 4
"""The bit of a gzip header's flags for an extra field, which follows the first 10 bytes."""

_SUBFIELD_ID = b"BP"

_ZSTD_FRAME = struct.Struct("<II")
"""The start of a skippable frame: its magic number, and the bytes that follow."""

_ZSTD_MAGIC = 0x184D2A5B

_ZSTD_TRAILER = struct.Struct("<I4s")
"""The end of the frame: the size of the list before it, and a mark."""

_ZSTD_MARK = b"BPos"


def add_positions(body: bytes, compression: str, positions_list: bytes) -> bytes | None:
    """Return the body with its positions list in it, or None if there is no place for it.

    Args:
        body: gzip members without extra field, or zstd frames.
        compression: the codec of the body: `none`, `gzip` or `zstd`.
        positions_list: of `batcher.records.positions`.
    """
    size_bytes = len(positions_list)
    if compression == "zstd":
        trailer = _ZSTD_TRAILER.pack(size_bytes, _ZSTD_MARK)
        frame = _ZSTD_FRAME.pack(_ZSTD_MAGIC, size_bytes + len(trailer))
        return b"".join((body, frame, positions_list, trailer))
    if compression != "gzip" or size_bytes > MAX_GZIP_LIST_BYTES:
        return None
    header = b"".join((body[:3], bytes((body[3] | _FEXTRA,)), body[4:10]))
    lengths = struct.pack("<H2sH", size_bytes + 4, _SUBFIELD_ID, size_bytes)
    return b"".join((header, lengths, positions_list, memoryview(body)[10:]))


def positions_range(compression: str, size_bytes: int) -> tuple[int, int] | None:
    """Return the bytes of a body that hold its positions list: from, up to. None: it has none."""
    if compression == "gzip":
        return 0, min(size_bytes, GZIP_HEADER_BYTES)
    if compression == "zstd":
        return max(0, size_bytes - ZSTD_TAIL_BYTES), size_bytes
    return None


def find_positions(compression: str, part: bytes) -> bytes | int | None:
    """Return the positions list in `part`, which is the range of `positions_range`.

    Returns:
        The list; or how many bytes of the end have to be read for it, if `part` has only the end
        of it; or None if there is no list.
    """
    if compression == "gzip":
        return _find_in_gzip_header(part)
    if compression == "zstd":
        return _find_in_zstd_tail(part)
    return None


def _find_in_gzip_header(part: bytes) -> bytes | None:
    try:
        (extra_bytes,) = struct.unpack_from("<H", part, 10)
    except struct.error:
        return None
    if not part.startswith(_GZIP_MAGIC) or not part[3] & _FEXTRA:
        return None
    extra = part[12 : 12 + extra_bytes]
    while len(extra) >= 4:  # noqa: PLR2004  # the subfield's id and size
        (size_bytes,) = struct.unpack_from("<H", extra, 2)
        if extra[:2] == _SUBFIELD_ID:
            found = extra[4 : 4 + size_bytes]
            return found if len(found) == size_bytes else None
        extra = extra[4 + size_bytes :]
    return None


def _find_in_zstd_tail(part: bytes) -> bytes | int | None:
    if len(part) < _ZSTD_TRAILER.size:
        return None
    size_bytes, mark = _ZSTD_TRAILER.unpack_from(part, len(part) - _ZSTD_TRAILER.size)
    if mark != _ZSTD_MARK:
        return None
    frame_bytes = _ZSTD_FRAME.size + size_bytes + _ZSTD_TRAILER.size
    if frame_bytes > len(part):
        return int(frame_bytes)
    frame = part[len(part) - frame_bytes :]
    if _ZSTD_FRAME.unpack_from(frame) != (_ZSTD_MAGIC, size_bytes + _ZSTD_TRAILER.size):
        return None
    return frame[_ZSTD_FRAME.size : _ZSTD_FRAME.size + size_bytes]
