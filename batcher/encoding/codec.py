"""Codec: text to blocks, and blocks to the compressed body of one object.

A body is one gzip member or one zstd frame, because some decoders stop silently after the first
one. It is compressed in blocks, cut every `BLOCK_BYTES` of text regardless of records and chunks.
So the same text gives the same bytes.

- gzip: a header, the blocks as raw deflate data that each end with a full flush, an empty last
  block, and the trailer. A block depends on its own text alone, so blocks can be compressed in
  parallel. Source: RFC 1951, 3.2.3; RFC 1952, 2.3.
- zstd: one compressor takes the blocks one after another.

To add a codec, change these files as well as `open_body` here:

- `encoding/decoder.py`: `detect_compression`, `_decompressor_factory`, `_is_codec_error`.
- `keys/object_format.py`: suffix and content type. `MAX_SUFFIX_BYTES` in `keys/names.py` has the
  size of the longest suffix.
- `settings/__init__.py`: the levels in `COMPRESSION_LEVELS`.
- `cli/inputs/input.py`: remove it from the formats that the command line refuses, if it is one.
- `tools/plan/objects.py`: measured CPU time and ratio by level.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

BLOCK_BYTES = 512 * 1024
"""Text of one block, small enough to stay in the CPU cache; see docs/decisions/0027."""

ISAL_MAX_LEVEL = 3
"""Up to this gzip level ISA-L compresses, above it zlib."""

ISAL_HASH_LEVELS = (1, 2)
"""Levels at which the first bytes of a block are compressed by themselves."""

ISAL_HEAD_BYTES = 4
"""Size of those first bytes. They are flushed, so that the other bytes depend on the text alone.

Where ISA-L starts with a longer text, its code for x86 hashes the address of the compressor instead
of the text's third byte, and overwrites a useful entry by that in about 1 of 3,000 processes
(version 2.32.1: `.write_first_byte` in igzip_icf_body_h1_gr_bt.asm). Four bytes are the fewest that
take another way and leave an entry. Cost: 5 bytes, and 2.5 microseconds."""

GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
"""No name, no time (mtime 0), unknown system. Source: RFC 1952, 2.3."""

GZIP_LAST_BLOCK = b"\x03\0"
"""An empty deflate block that is marked as the last one."""

RAW_DEFLATE_WBITS = -15
"""Write deflate data without header and trailer."""

ZSTD_WINDOW_LOG = 18
"""How far back a frame looks, as a power of two: 256 KiB, which stays in the CPU cache. With zstd's
own choice level 3 takes 30 % more CPU time for 0.3 % less size, and level 19 takes 86 MB."""

ZSTD_MAX_TABLE_LOG = 19
"""The largest tables that such a window can use, as a power of two."""

ZSTD_LARGE_TABLES_LEVEL = 7
"""From this level on, zstd chooses larger tables if it does not know the size of the text."""

ZSTD_HELD_BYTES = ((3, 2 * 1024**2), (19, 6 * 1024**2))
"""Memory of a compressor, by the highest level that takes it. Measured with zstd 1.5.7."""

ZSTD_HEADER_BYTES = 6
"""Size of a frame's header without the size of its text: magic number, descriptor, window.
Source: RFC 8878, 3.1.1.1."""

Block = list[memoryview]
"""The text of one block, in pieces to be joined."""

EncodedBlock = tuple[bytes, int, int]
"""Compressed bytes, and the CRC-32 and the size of the text that they end with."""


class BlockSplitter:
    """Cuts the text of a body into blocks as it arrives, without copying."""

    def __init__(self) -> None:
        """Start with no text."""
        self._pieces: list[memoryview] = []
        self._buffered_bytes = 0

    @property
    def buffered_bytes(self) -> int:
        """Bytes of text in the last block, which is not full yet."""
        return self._buffered_bytes

    def feed(self, text: bytes | memoryview) -> list[Block]:
        """Append `text` and return the blocks that are full now."""
        full: list[Block] = []
        rest = memoryview(text)
        while self._buffered_bytes + len(rest) >= BLOCK_BYTES:
            room = BLOCK_BYTES - self._buffered_bytes
            full.append([*self._pieces, rest[:room]])
            self._pieces, self._buffered_bytes, rest = [], 0, rest[room:]
        if rest:
            self._pieces.append(rest)
            self._buffered_bytes += len(rest)
        return full

    def finish(self) -> Block:
        """Return the last block, or an empty list if no text is left."""
        pieces, self._pieces, self._buffered_bytes = self._pieces, [], 0
        return pieces


class Checksum:
    """CRC-32 and size of a text, combined from those of its blocks in order."""

    def __init__(self) -> None:
        """Start with the empty text."""
        self.crc32: int = 0
        self.size_bytes: int = 0

    def add(self, block_crc32: int, block_bytes: int) -> None:
        """Append a block."""
        from isal import isal_zlib  # noqa: PLC0415  # not needed by a cold start without records

        self.crc32 = isal_zlib.crc32_combine(self.crc32, block_crc32, block_bytes)
        self.size_bytes += block_bytes


class BodyEncoder:
    """Makes the body of one object: `header`, then the encoded blocks in order, then `finish`.

    This class leaves text as it is. Others compress it.
    """

    header = b""
    is_parallel = True
    """Whether blocks can be encoded at the same time. Else each must be encoded after the one
    before it."""
    held_bytes = 0
    """Memory that this holds between blocks, at most."""

    def encode(self, blocks: Iterable[Block]) -> list[EncodedBlock]:
        """Compress the next blocks. The GIL is released, so that threads run in parallel."""
        encoded = []
        for pieces in blocks:
            text = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            encoded.append((*self._encode_block(text), len(text)))
        return encoded

    def finish(self, checksum: Checksum) -> bytes:
        """Return the end of the body. `checksum` is that of the whole text."""
        del checksum
        return b""

    def _encode_block(self, text: bytes | memoryview) -> tuple[bytes, int]:
        """Return the compressed text, and the CRC-32 of the text."""
        return bytes(text), crc32(text)


class _GzipEncoder(BodyEncoder):
    """Makes one gzip member."""

    header = GZIP_HEADER

    def __init__(self, level: int) -> None:
        self._level = level
        self._library = _deflate_library(level)

    def finish(self, checksum: Checksum) -> bytes:
        trailer = checksum.crc32, checksum.size_bytes & 0xFFFFFFFF
        return b"".join((GZIP_LAST_BLOCK, *(number.to_bytes(4, "little") for number in trailer)))

    def _encode_block(self, text: bytes | memoryview) -> tuple[bytes, int]:
        library = self._library
        compressor = library.compressobj(self._level, library.DEFLATED, RAW_DEFLATE_WBITS)
        pieces = []
        rest = memoryview(text)
        if self._level in ISAL_HASH_LEVELS:
            pieces.append(compressor.compress(rest[:ISAL_HEAD_BYTES]))
            pieces.append(compressor.flush(library.Z_SYNC_FLUSH))
            rest = rest[ISAL_HEAD_BYTES:]
        pieces.append(compressor.compress(rest))
        pieces.append(compressor.flush(library.Z_FULL_FLUSH))
        return b"".join(pieces), crc32(text)


class _ZstdEncoder(BodyEncoder):
    """Makes one zstd frame, with a checksum, and with the size of the text if that is known.

    Without worker threads, which take twice the CPU time (zstd 1.5.7, level 1).
    """

    is_parallel = False

    def __init__(self, level: int, text_bytes: int | None) -> None:
        from batcher.encoding.zstd import zstd  # noqa: PLC0415  # only what is used is imported

        options, self.held_bytes = _zstd_options(level)
        self._compressor: Any = zstd.ZstdCompressor(options=options)
        self._compressor.set_pledged_input_size(text_bytes)
        self._missing_bytes = text_bytes
        self._flush_frame = zstd.ZstdCompressor.FLUSH_FRAME
        self._is_complete = False

    def finish(self, checksum: Checksum) -> bytes:
        del checksum  # the frame has its own
        return b"" if self._is_complete else bytes(self._compressor.flush())

    def _encode_block(self, text: bytes | memoryview) -> tuple[bytes, int]:
        return self._compress(text), crc32(text)

    def _compress(self, text: bytes | memoryview) -> bytes:
        if self._missing_bytes is None:
            return bytes(self._compressor.compress(text))
        self._missing_bytes -= len(text)
        if self._missing_bytes:
            return bytes(self._compressor.compress(text))
        self._is_complete = True  # a frame that ends with its only block is not copied first
        return bytes(self._compressor.compress(text, self._flush_frame))


@cache
def _zstd_options(level: int) -> tuple[dict[Any, int], int]:
    """Return a compressor's options, and the memory that it holds."""
    from batcher.encoding.zstd import zstd  # noqa: PLC0415  # as above

    parameter = zstd.CompressionParameter
    options = {
        parameter.compression_level: level,
        parameter.checksum_flag: 1,
        parameter.window_log: ZSTD_WINDOW_LOG,
    }
    if level >= ZSTD_LARGE_TABLES_LEVEL:
        options[parameter.hash_log] = options[parameter.chain_log] = ZSTD_MAX_TABLE_LOG
    return options, next(held for highest, held in ZSTD_HELD_BYTES if level <= highest)


def open_body(compression: str, level: int, text_bytes: int | None) -> BodyEncoder:
    """Start the body of one object.

    Args:
        compression: `none`, `gzip` or `zstd`.
        level: as the codec defines it.
        text_bytes: size of the whole text; None: not known yet. The body of an event's object must
            be the same in each delivery, so for that the size is always given.
    """
    if compression == "gzip":
        return _GzipEncoder(level)
    if compression == "zstd":
        return _ZstdEncoder(level, text_bytes)
    return BodyEncoder()


def encode_text(text: bytes, compression: str, level: int) -> tuple[bytes, Checksum]:
    """Return the body for a whole text, and the checksum of the text."""
    body = open_body(compression, level, len(text))
    splitter = BlockSplitter()
    blocks = splitter.feed(text)
    if splitter.buffered_bytes:
        blocks.append(splitter.finish())
    checksum = Checksum()
    pieces = [body.header]
    for piece, block_crc32, text_bytes in body.encode(blocks):
        checksum.add(block_crc32, text_bytes)
        pieces.append(piece)
    pieces.append(body.finish(checksum))
    return b"".join(pieces), checksum


def add_text_size(zstd_header: bytes, text_bytes: int) -> bytes:
    """Return a frame's header with the size of its text, if that was not known at the start.

    `zstandard.decompress` reads no frame without it.

    Args:
        zstd_header: the first `ZSTD_HEADER_BYTES` of a body.
        text_bytes: size of the whole text.
    """
    if zstd_header[4] & 0xE0:  # the bits of a header that has the size
        return zstd_header
    flag, field_bytes = (0x80, 4) if text_bytes < 1 << 32 else (0xC0, 8)
    descriptor = bytes((zstd_header[4] | flag,))
    size = text_bytes.to_bytes(field_bytes, "little")
    return b"".join((zstd_header[:4], descriptor, zstd_header[5:], size))


def crc32(data: bytes | memoryview) -> int:
    """Return the CRC-32 that gzip and S3 use. ISA-L is nine times as fast as zlib."""
    from isal import isal_zlib  # noqa: PLC0415  # as above

    return isal_zlib.crc32(data)


def _deflate_library(level: int) -> Any:  # noqa: ANN401  # a module, of which one has no types
    """Return the library for this level. Only that is imported."""
    if level <= ISAL_MAX_LEVEL:
        from isal import isal_zlib  # noqa: PLC0415

        return isal_zlib
    import zlib  # noqa: PLC0415

    return zlib
