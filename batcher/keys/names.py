"""Names of objects, made from their content: the same records give the same key.

A name is the last part of a key without the suffix. `object_key` in `batcher.writing.object` joins
the full key: root, salt, partition, name and suffix. `object_name` there chooses the function that
makes the name. For example, `message_set_name` names the objects of SQS, of FIFO queues as well.

Keys are a contract with readers and with redelivery. A changed name means that a record which is
delivered again is written twice. `batcher.keys.parse` reads what is made here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batcher.keys.partition import DIGEST_DIGITS, percent_encode
from batcher.records.position import sequence_number

if TYPE_CHECKING:
    from batcher.records.chunk import Origin

QUARANTINE_FOLDER = "_quarantine"

SEQUENCE_DIGITS = 64
"""Digits of a stream's sequence number in a name, padded with zeros."""

FIFO_DIGITS = 20
"""Digits of a FIFO queue's sequence number in a name, padded with zeros."""

TIME_DIGITS = 13
"""Digits of a time in milliseconds since 1970."""

MESSAGE_SET_DIGITS = 32
"""Hex digits of a digest of message ids."""

MAX_UUID_COUNTER = 0xFFF

MAX_STEM_BYTES = 255 + 1 + 32
"""A table's name (255), a hyphen, and its stream's label, whose colons are escaped."""

CONTINUATION_DIGITS = DIGEST_DIGITS
"""Hex digits of the digest in the name of a continuation."""

MAX_NAME_BYTES = MAX_STEM_BYTES + 1 + SEQUENCE_DIGITS + 1 + CONTINUATION_DIGITS

MAX_SUFFIX_BYTES = len(".ndjson.zst")


def sequence_name(origin: Origin, first: str) -> str:
    """Return the name of a stream's object, made from its first sequence number.

    Args:
        origin: the stream and shard.
        first: the position of the first record, with or without an index.
    """
    first = sequence_number(first)
    if not (first.isascii() and first.isdecimal() and len(first) <= SEQUENCE_DIGITS):
        first = _shorten(percent_encode(first), SEQUENCE_DIGITS)  # not a number of AWS
    return f"{origin.stem}-{first:0>{SEQUENCE_DIGITS}}"


def message_set_name(
    origin: Origin, oldest_s: float, digest: str, lowest_sequence_number: str | None
) -> str:
    """Return the name of a queue's object, made from its oldest message and its set of ids.

    Args:
        origin: the queue.
        oldest_s: the oldest `SentTimestamp`, in seconds since 1970.
        digest: digest of the sorted message ids, at least 32 hex digits.
        lowest_sequence_number: used in place of the time if the queue is a FIFO queue.
    """
    if lowest_sequence_number is not None:
        start = f"{lowest_sequence_number:0>{FIFO_DIGITS}}"
    else:
        start = f"{round(oldest_s * 1000):0{TIME_DIGITS}d}"
    return f"{origin.stem}-{start}-{digest[:MESSAGE_SET_DIGITS]}"


def continuation_name(name: str, digits: str) -> str:
    """Return the name of an object whose name is taken by an object with other records.

    Args:
        name: the name that is taken.
        digits: the fingerprint of the object's first record, if that of the other object's first
            record is another one; else the start of the digest of its positions.
    """
    return f"{name}~{digits}"


def uuid7(now_ms: int, counter: int, random_bits: int) -> str:
    """Return a UUID version 7 of a time, 12 bits of a counter and 62 random bits.

    Source: RFC 9562, sections 5.7 and 6.2 (method 1).
    """
    value = (now_ms & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | (counter & MAX_UUID_COUNTER) << 64
    value |= 0b10 << 62 | random_bits & (1 << 62) - 1
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


class Uuid7Generator:
    """Makes UUIDs of version 7. Each sorts after the one before it."""

    def __init__(self, wall_clock: Callable[[], float], random_bits: Callable[[int], int]) -> None:
        """Set the clock, in seconds since 1970, and the source of random bits."""
        self._wall_clock = wall_clock
        self._random_bits = random_bits
        self._last = (0, 0)

    def __call__(self) -> str:
        """Return the next UUID."""
        now_ms = int(self._wall_clock() * 1000)
        last_ms, counter = self._last
        if now_ms > last_ms:
            self._last = (now_ms, 0)
        elif counter < MAX_UUID_COUNTER:
            self._last = (last_ms, counter + 1)
        else:
            self._last = (last_ms + 1, 0)
        return uuid7(*self._last, self._random_bits(62))


def salt(name: str, fanout: int) -> str:
    """Return the salt of a name: the first log2(`fanout`) bits of its SHA-256, as 0 and 1.

    Salts spread names evenly over `fanout` prefixes. They are in base 2 because S3 splits a prefix
    soonest if few different characters can follow it.
    """
    bits = fanout.bit_length() - 1
    if not bits:
        return ""
    digest = hashlib.sha256(name.encode()).digest()
    return format(int.from_bytes(digest[:2], "big"), "016b")[:bits]


def root_prefix(root: str) -> str:
    """Return the start of all keys under `root`: `root/`, or nothing if `root` is empty."""
    return f"{root}/" if root else ""


def make_stem(*names: str) -> str:
    """Return the start of a name, made from the names of a queue, or of a stream and shard.

    A leading `_` or `.` is encoded, because Hive, Spark and Athena ignore such files.
    """
    joined = "-".join(percent_encode(name) for name in names if name)
    if joined.startswith(("_", ".")):
        joined = f"%{ord(joined[0]):02X}{joined[1:]}"
    return _shorten(joined, MAX_STEM_BYTES)


def max_key_bytes(root: str, fanout: int, max_partition_bytes: int) -> int:
    """Return the size of the longest key that these settings can give."""
    salt_bytes = fanout.bit_length() - 1
    name_bytes = MAX_NAME_BYTES + MAX_SUFFIX_BYTES
    return (
        len(root.encode("utf-8", "surrogatepass"))
        + salt_bytes
        + max_partition_bytes
        + name_bytes
        + 3  # slashes
    )


def quarantine_date(arrival_s: float) -> str:
    """Return the date in the `dt=` folder of a quarantine key, in UTC."""
    return datetime.fromtimestamp(arrival_s, UTC).strftime("%Y-%m-%d")


def _shorten(name: str, max_bytes: int) -> str:
    """Cut a name that is too long, and append a digest of all of it."""
    if len(name) <= max_bytes:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:DIGEST_DIGITS]
    return f"{name[: max_bytes - DIGEST_DIGITS - 1]}~{digest}"
