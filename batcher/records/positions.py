"""Positions lists: the positions of an object's records in a few bytes, exactly.

A list is a header, the first position, and the differences between neighbours, deflated. The
differences are written in planes: the lowest byte of all of them, then the next one, and so on.
Planes of zeros are left out. Sequence numbers of Kinesis grow by multiples of 2^80, so two planes
of eleven are left. Measured on 4,000 sequence numbers: 0.3 us and 0.02 to 1.3 bytes per record.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from itertools import accumulate, repeat
from operator import sub

MAX_RAW_BYTES = 16 * 1024**2
"""A list whose differences take more than this is not written, and not read."""

_MAX_U16 = 0xFFFF

_HEADER = struct.Struct("<BIHH")
"""Version, number of positions, bytes of the first position, bytes of one difference."""

_VERSION = 1


class PositionsError(ValueError):
    """A positions list cannot be read: it is damaged, or of a later version."""


def encode_positions(positions: Sequence[str]) -> bytes | None:
    """Return the list of `positions`, or None if they cannot be listed.

    They can be listed if they are integers without leading zeros, and each is larger than the one
    before it.
    """
    numbers = _parse_numbers(positions)
    if not numbers:
        return None
    differences = list(map(sub, numbers[1:], numbers))
    largest = max(differences, default=1)
    width = (largest.bit_length() + 7) // 8
    if min(differences, default=1) <= 0 or width * len(numbers) > MAX_RAW_BYTES:
        return None
    to_bytes: Callable[..., bytes] = int.to_bytes
    packed = b"".join(map(to_bytes, differences, repeat(width), repeat("little")))
    planes = [packed[index::width] for index in range(width)]
    kept = [plane.count(0) != len(plane) for plane in planes]
    mask = sum(is_kept << index for index, is_kept in enumerate(kept))
    first_bytes = numbers[0].bit_length() // 8 + 1
    if width > _MAX_U16 or first_bytes > _MAX_U16:
        return None
    raw = b"".join(
        (
            _HEADER.pack(_VERSION, len(numbers), first_bytes, width),
            numbers[0].to_bytes(first_bytes, "little", signed=True),
            mask.to_bytes((width + 7) // 8, "little"),
            *(plane for plane, is_kept in zip(planes, kept, strict=True) if is_kept),
        )
    )
    from isal import isal_zlib  # noqa: PLC0415  # not needed by a cold start without records

    return isal_zlib.compress(raw, 1)


def decode_positions(code: bytes) -> list[str]:
    """Return the positions of a list, in increasing order.

    Raises:
        PositionsError: it is damaged, or of a later version.
    """
    try:
        return list(map(str, _decode_numbers(_inflate(code))))
    except (zlib.error, struct.error, ValueError) as error:
        msg = f"the positions list cannot be read: {error}"
        raise PositionsError(msg) from None


def _parse_numbers(positions: Sequence[str]) -> list[int]:
    """Return the positions as integers, or an empty list if these would not be the same text."""
    text = "\n".join(positions)
    try:
        numbers = list(map(int, positions))
    except ValueError:
        return []
    # bytes.isdigit, because str.isdecimal looks up every character
    is_plain = text.isascii() and text.encode().replace(b"\n", b"").isdigit()
    if is_plain and min(positions, default="") >= "1":  # none has a leading zero
        return numbers
    return numbers if list(map(str, numbers)) == list(positions) else []


def _inflate(code: bytes) -> bytes:
    """Decompress a list, whatever its size claims to be."""
    decompressor = zlib.decompressobj()
    raw = decompressor.decompress(code, MAX_RAW_BYTES)
    if not decompressor.eof or decompressor.unused_data:
        msg = "its end is missing, or not where it must be"
        raise ValueError(msg)
    return raw


def _decode_numbers(raw: bytes) -> list[int]:
    version, count, first_bytes, width = _HEADER.unpack_from(raw)
    if version != _VERSION:
        msg = f"version {version} is unknown"
        raise ValueError(msg)
    start = _HEADER.size + first_bytes
    first = int.from_bytes(raw[_HEADER.size : start], "little", signed=True)
    planes_start = start + (width + 7) // 8
    mask = int.from_bytes(raw[start:planes_start], "little")
    plane_bytes = count - 1
    kept = [index for index in range(width) if mask >> index & 1]
    is_whole = len(raw) == planes_start + len(kept) * plane_bytes and not mask >> width
    if count < 1 or width * count > MAX_RAW_BYTES or not is_whole:
        msg = "its size is not the one that its header states"
        raise ValueError(msg)
    packed = bytearray(width * plane_bytes)
    for number, index in enumerate(kept):
        plane_start = planes_start + number * plane_bytes
        packed[index::width] = raw[plane_start : plane_start + plane_bytes]
    differences = [
        int.from_bytes(packed[at : at + width], "little") for at in range(0, len(packed), width)
    ]
    if not all(differences):
        msg = "a position is there twice"
        raise ValueError(msg)
    return list(accumulate(differences, initial=first))
