"""Codec: text to members, and members to the compressed body.

A body is a sequence of independent members (gzip members or zstd frames), cut every `MEMBER_BYTES`
of text regardless of records and chunks. So the same text gives the same bytes, and members can be
compressed in parallel.

To add a codec, change these files as well as `_make_compressor` here:

- `encoding/decoder.py`: `detect_compression`, `_decompressor_factory`, `_is_codec_error`.
- `keys/object_format.py`: suffix and content type. `MAX_SUFFIX_BYTES` in `keys/names.py` has the
  size of the longest suffix.
- `settings.py`: the levels in `COMPRESSION_LEVELS`.
- `cli/input.py`: remove it from the formats that the command line refuses, if it is one of them.
- `tools/plan/objects.py`: measured CPU time and ratio by level.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MEMBER_BYTES = 512 * 1024
"""Text of one member, small enough to stay in the CPU cache; see docs/decisions/0002."""

ISAL_MAX_LEVEL = 3
"""Up to this gzip level ISA-L compresses, above it zlib."""

GZIP_WBITS = 31
"""Write a gzip header and trailer. Both libraries write mtime 0."""

Member = list[memoryview]
"""The text of one member, in pieces to be joined."""

EncodedMember = tuple[bytes, int, int]
"""A compressed member, and the CRC-32 and the size of its text."""


class MemberSplitter:
    """Cuts the text of a body into members as it arrives, without copying."""

    def __init__(self) -> None:
        """Start with no text."""
        self._pieces: list[memoryview] = []
        self._buffered_bytes = 0

    @property
    def buffered_bytes(self) -> int:
        """Bytes of text in the last member, which is not full yet."""
        return self._buffered_bytes

    def feed(self, text: bytes | memoryview) -> list[list[memoryview]]:
        """Append `text` and return the members that are full now, each as pieces to be joined."""
        full: list[list[memoryview]] = []
        rest = memoryview(text)
        while self._buffered_bytes + len(rest) >= MEMBER_BYTES:
            room = MEMBER_BYTES - self._buffered_bytes
            full.append([*self._pieces, rest[:room]])
            self._pieces, self._buffered_bytes, rest = [], 0, rest[room:]
        if rest:
            self._pieces.append(rest)
            self._buffered_bytes += len(rest)
        return full

    def finish(self) -> list[memoryview]:
        """Return the pieces of the last member, or an empty list if no text is left."""
        pieces, self._pieces, self._buffered_bytes = self._pieces, [], 0
        return pieces


class Codec:
    """Compresses members. It has no state: the same member always gives the same bytes."""

    def __init__(self, compression: str, level: int) -> None:
        """Choose a codec: `none`, `gzip` or `zstd`, and its level."""
        self._compress = _make_compressor(compression, level)
        self._crc32 = _gzip_crc32 if compression == "gzip" else _text_crc32

    def encode(self, members: Iterable[Member]) -> list[EncodedMember]:
        """Compress members. The GIL is released, so that threads run in parallel."""
        encoded = []
        for pieces in members:
            text = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            piece = self._compress(text)
            encoded.append((piece, self._crc32(text, piece), len(text)))
        return encoded


class Checksum:
    """CRC-32 and size of a text, combined from those of its members in order."""

    def __init__(self) -> None:
        """Start with the empty text."""
        self.crc32 = 0
        self.size_bytes = 0

    def add(self, member_crc32: int, member_bytes: int) -> None:
        """Append a member."""
        from isal import isal_zlib  # noqa: PLC0415  # not needed by a cold start without records

        self.crc32 = isal_zlib.crc32_combine(self.crc32, member_crc32, member_bytes)
        self.size_bytes += member_bytes


def encode_text(text: bytes, codec: Codec) -> tuple[bytes, Checksum]:
    """Return the body for a whole text, and the checksum of the text."""
    members = MemberSplitter()
    full = members.feed(text)
    if members.buffered_bytes:
        full.append(members.finish())
    checksum = Checksum()
    pieces = []
    for piece, member_crc32, text_bytes in codec.encode(full):
        checksum.add(member_crc32, text_bytes)
        pieces.append(piece)
    return b"".join(pieces), checksum


def encode_empty(codec: Codec) -> bytes:
    """Return the body of the empty text: a member without text, where the codec has members."""
    return codec.encode([[memoryview(b"")]])[0][0]


def crc32(data: bytes | memoryview) -> int:
    """Return the CRC-32 that gzip and S3 use. ISA-L is nine times as fast as zlib."""
    from isal import isal_zlib  # noqa: PLC0415  # as above

    return isal_zlib.crc32(data)


def _make_compressor(compression: str, level: int) -> Callable[[bytes | memoryview], bytes]:
    """Return the function that compresses a member. Only its own library is imported."""
    if compression == "none":
        return bytes
    if compression == "zstd":
        from batcher.encoding.zstd import zstd  # noqa: PLC0415

        return lambda text: zstd.compress(text, level)
    if level <= ISAL_MAX_LEVEL:
        from isal import isal_zlib  # noqa: PLC0415

        return lambda text: isal_zlib.compress(text, level, GZIP_WBITS)
    import zlib  # noqa: PLC0415

    return lambda text: zlib.compress(text, level, GZIP_WBITS)


def _gzip_crc32(_: bytes | memoryview, piece: bytes) -> int:
    """Read the checksum of the text from the member's trailer. Source: RFC 1952, 2.3.1."""
    return int.from_bytes(piece[-8:-4], "little")


def _text_crc32(text: bytes | memoryview, _: bytes) -> int:
    return crc32(text)
