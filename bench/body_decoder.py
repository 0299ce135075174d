"""Measure the text of a body while the body arrives, without keeping it."""

from __future__ import annotations

import zlib
from typing import Protocol

from isal import isal_zlib

try:
    from compression import zstd
except ImportError:
    from backports import zstd

GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
GZIP_WBITS = 31


class _Decompressor(Protocol):
    """One gzip member or zstd frame."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class BodyDecoder:
    """Computes CRC-32 and length of a body's text: gzip or zstd, by the first bytes, or plain."""

    def __init__(self) -> None:
        """Start with no body."""
        self.crc32 = 0
        self.size_bytes = 0
        self._head = b""
        self._magic: bytes | None = None
        self._decompressor: _Decompressor | None = None

    def feed(self, data: bytes) -> None:
        """Append bytes of the body.

        Raises:
            ValueError, zlib.error, zstd.ZstdError: they cannot be decoded.
        """
        if self._magic is None:
            data = self._head + data
            if len(data) < len(ZSTD_MAGIC):
                self._head = data
                return
            self._magic = next((m for m in (GZIP_MAGIC, ZSTD_MAGIC) if data.startswith(m)), b"")
        if not self._magic:
            self._add(data)
            return
        while data:
            if self._decompressor is None:
                self._decompressor = _begin(self._magic)
            self._add(self._decompressor.decompress(data))
            if not self._decompressor.eof:
                return
            data, self._decompressor = self._decompressor.unused_data, None

    @property
    def is_complete(self) -> bool:
        """Whether no member is left open; a body shorter than any magic is text."""
        if self._magic is None and self._head:
            self._add(self._head)
            self._head = b""
        return self._decompressor is None

    def _add(self, text: bytes) -> None:
        self.crc32 = isal_zlib.crc32(text, self.crc32)
        self.size_bytes += len(text)


def _begin(magic: bytes) -> _Decompressor:
    if magic == GZIP_MAGIC:
        return zlib.decompressobj(GZIP_WBITS)  # not the library that ours compresses with
    frame: _Decompressor = zstd.ZstdDecompressor()
    return frame


def combine_checksums(parts: list[tuple[int, int]]) -> tuple[int, int]:
    """Return CRC-32 and length of texts in their order, from those of each."""
    crc32 = size_bytes = 0
    for part_crc32, part_bytes in parts:
        crc32 = isal_zlib.crc32_combine(crc32, part_crc32, part_bytes)
        size_bytes += part_bytes
    return crc32, size_bytes
