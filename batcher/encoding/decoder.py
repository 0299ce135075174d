"""Decoder: an object's body to its text, piece by piece; no body can make it hold more than a bit.

A thousandfold expansion, as a bomb has it, comes out in blocks of at most `BLOCK_BYTES`, one at a
time, whatever went in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from batcher.errors import DamagedError

MAX_OUTPUT_BYTES = 1024**2
"""The most text that is given at once."""


MAX_INPUT_BYTES = 64 * 1024
"""Bytes of body that a decompressor is handed at once: it copies what it has not used."""


MAX_WINDOW_LOG = 23
"""Largest zstd window, 8 MiB: as far as level 19 looks back. Our frames need half a MiB."""


class _Decompressor(Protocol):
    """What isal and zstd have in common: one member or frame, with bounded output."""

    @property
    def eof(self) -> bool:
        """Whether the member has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether no more comes out without more input."""

    @property
    def unused_data(self) -> bytes:
        """What came after the member's end."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return some text."""


class Decoder:
    """Decodes one body: a row of members that each stand alone, or text as it is."""

    def __init__(self, suffix: str) -> None:
        """Choose by what the object's name ends with: `.gz`, `.zst`, or anything else."""
        self._new_decompressor = _decompressor_factory(suffix)
        self._member: _Decompressor | None = None
        self._members = 0
        self._read_bytes = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Decode the next piece of the body: blocks of text, none of them empty.

        All of them must be taken before the next piece is fed.

        Raises:
            DamagedError: this is not what the suffix promises, or its checksum is wrong.
        """
        self._read_bytes += len(piece)
        step = MAX_OUTPUT_BYTES if self._new_decompressor is None else MAX_INPUT_BYTES
        for start in range(0, len(piece), step):
            part = piece[start : start + step]
            if self._new_decompressor is None:
                yield part
            else:
                yield from self._decompress(part)

    def _decompress(self, data: bytes) -> Iterator[bytes]:
        assert self._new_decompressor is not None  # noqa: S101  # its caller has looked
        while data or self._member is not None:
            if self._member is None:
                self._member = self._new_decompressor()
                self._members += 1
            try:
                text = self._member.decompress(data, MAX_OUTPUT_BYTES)
            except Exception as error:
                if not _is_codec_error(error):
                    raise
                msg = (
                    f"member {self._members}, within the first {self._read_bytes} bytes of the "
                    f"body: {error}"
                )
                raise DamagedError(msg) from error
            data = b""
            if text:
                yield text
            if self._member.eof:
                data = self._member.unused_data
                self._member = None
            elif self._member.needs_input:
                return

    def finish(self) -> None:
        """Return that the body has ended.

        Raises:
            DamagedError: it has ended too early.
        """
        if self._member is not None:
            msg = f"the body ends within member {self._members}, after {self._read_bytes} bytes"
            raise DamagedError(msg)
        if self._new_decompressor is not None and not self._members:
            msg = "the body is empty"
            raise DamagedError(msg)


def _decompressor_factory(suffix: str) -> Callable[[], _Decompressor] | None:
    """Return what starts a member; libraries are imported only for what is used."""
    if suffix.endswith(".gz"):
        from isal import igzip_lib  # noqa: PLC0415

        make: Any = igzip_lib.IgzipDecompressor  # it has no types
        flag = igzip_lib.DECOMP_GZIP  # with its header, and its checksum verified
        return lambda: make(flag=flag)
    if suffix.endswith(".zst"):
        from batcher.encoding.zstd import zstd  # noqa: PLC0415

        options = {zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG}
        return lambda: zstd.ZstdDecompressor(options=options)
    return None


def _is_codec_error(error: Exception) -> bool:
    """Return whether a codec raised it; their error classes are imported only with them."""
    return type(error).__name__ in {"IsalError", "ZstdError"}
