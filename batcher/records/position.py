"""Position: the text that identifies one record of an event, made from the source's identity.

Nearly always the two are equal. Only where several records share an identity, all but the first
have an index: `49590338271490256608/1`.

Sources whose numbers are not unique, such as the shards of a DynamoDB stream, have more of a
record's identity than its number. Of such a record, digests and positions lists have the
*full position*: the position and a fingerprint of the rest of the identity,
`4421584500000000017450439091:3f2a9c01`. Without fingerprints the full position is the position.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from itertools import repeat
from zlib import crc32

FINGERPRINT_DIGITS = 8
"""Hex digits of a fingerprint."""

_SEPARATOR = "/"

_FINGERPRINT_SEPARATOR = ":"

_HEX = frozenset("0123456789abcdef")


def indexed_position(identity: str, index: int) -> str:
    """Return the position of a further record of an identity. The index is 1 or more."""
    return f"{identity}{_SEPARATOR}{index}"


def sequence_number(position: str) -> str:
    """Return a position of a stream without index and fingerprint, as names and ranges have it."""
    plain = position[: -FINGERPRINT_DIGITS - 1] if fingerprint_of(position) else position
    number, separator, index = plain.partition(_SEPARATOR)
    return number if separator and number.isdecimal() and index.isdecimal() else plain


def make_fingerprints(identities: Sequence[str]) -> list[str]:
    """Return the fingerprint of each text: its CRC-32, as 8 hex digits.

    Measured: 0.15 us per text, where SHA-256 takes 0.45 us.
    """
    encoded = map(str.encode, identities, repeat("utf-8"), repeat("surrogatepass"))
    values = array("I", map(crc32, encoded))
    if sys.byteorder == "little":
        values.byteswap()
    joined = values.tobytes().hex(_FINGERPRINT_SEPARATOR, values.itemsize)
    return joined.split(_FINGERPRINT_SEPARATOR) if joined else []


def full_positions(positions: Sequence[str], fingerprints: Sequence[str]) -> list[str]:
    """Return the full position of each record, from the columns of a chunk."""
    return list(map(_FINGERPRINT_SEPARATOR.join, zip(positions, fingerprints, strict=True)))


def split_positions(positions: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return positions and fingerprints of full positions: of all of them, or no fingerprints.

    Raises:
        ValueError: the first one has a fingerprint, and another one has none.
    """
    if not positions or not fingerprint_of(positions[0]):
        return positions, ()
    parts = "\n".join(positions).replace(_FINGERPRINT_SEPARATOR, "\n").split("\n")
    found, fingerprints = parts[::2], parts[1::2]
    have_all = all(map(str.__contains__, positions, repeat(_FINGERPRINT_SEPARATOR)))
    if not have_all or len(parts) != 2 * len(positions):
        msg = "a position has no fingerprint, and the first one has one"
        raise ValueError(msg)
    return found, fingerprints


def fingerprint_of(position: str) -> str:
    """Return the fingerprint of a full position, or an empty string if it has none."""
    found = position[-FINGERPRINT_DIGITS:]
    is_fingerprint = (
        position[-FINGERPRINT_DIGITS - 1 : -FINGERPRINT_DIGITS] == _FINGERPRINT_SEPARATOR
        and len(position) > FINGERPRINT_DIGITS + 1
        and _HEX.issuperset(found)
    )
    return found if is_fingerprint else ""
