"""Stored positions: the positions list of an object that is read, from its metadata or its body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batcher.encoding.positions_field import GZIP_HEADER_BYTES, find_positions
from batcher.records.positions import PositionsError
from batcher.writing.object import METADATA_POSITIONS, read_positions_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_TAIL_BYTES = 512 * 1024
"""The end of a zstd body that is kept for its list. 10,000 arbitrary positions take 240 KB."""


class PositionsCollector:
    """Keeps that part of a body which has the positions list, while the body is read."""

    def __init__(self, suffix: str) -> None:
        """Expect a body whose key ends with `suffix`: `.gz`, `.zst`, or anything else."""
        self._is_gzip = suffix.endswith(".gz")
        self._is_zstd = suffix.endswith(".zst")
        self._part = bytearray()

    @property
    def is_complete(self) -> bool:
        """Whether the rest of the body cannot have the list."""
        return not self._is_zstd and (not self._is_gzip or len(self._part) >= GZIP_HEADER_BYTES)

    def add(self, piece: bytes) -> None:
        """Take the next piece of the body, of any size."""
        if self._is_gzip:
            self._part += piece[: GZIP_HEADER_BYTES - len(self._part)]
        elif self._is_zstd:
            self._part += piece[-MAX_TAIL_BYTES:]
            del self._part[:-MAX_TAIL_BYTES]

    def positions_list(self, metadata: Mapping[str, str]) -> bytes | None:
        """Return the list, or None if the object has none. Call it after the last piece.

        Raises:
            PositionsError: there is a list that cannot be read.
        """
        found: bytes | int | None = read_positions_metadata(metadata)
        if found is None and METADATA_POSITIONS in metadata:
            msg = f"the positions list cannot be read: {METADATA_POSITIONS} is not base64"
            raise PositionsError(msg)
        if found is None and (self._is_gzip or self._is_zstd):
            found = find_positions("gzip" if self._is_gzip else "zstd", bytes(self._part))
        if isinstance(found, int):
            msg = f"the positions list cannot be read: it is longer than {MAX_TAIL_BYTES:,} bytes"
            raise PositionsError(msg)
        return found
