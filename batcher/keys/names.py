"""Keys: what an object is called, from what is in it; the same records give the same key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from batcher.keys.partition import DIGEST_DIGITS, percent_encode

if TYPE_CHECKING:
    from batcher.records.chunk import Origin

QUARANTINE_FOLDER = "_quarantine"


SEQUENCE_DIGITS = 64


FIFO_DIGITS = 20


TIME_DIGITS = 13


MESSAGE_SET_DIGITS = 32


MAX_UUID_COUNTER = 0xFFF


# table (255) - stream label (27, its colons escaped) - sequence number (64); the others are shorter
MAX_STEM_BYTES = 255 + 1 + 32


MAX_NAME_BYTES = MAX_STEM_BYTES + 1 + SEQUENCE_DIGITS


COMPRESSION_SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}


class Format(StrEnum):
    """How records lie in an object."""

    NDJSON = "ndjson"
    LINES = "lines"


FORMAT_EXTENSIONS = {Format.NDJSON: ".ndjson", Format.LINES: ".txt"}


QUARANTINE_SUFFIX = ".ndjson.gz"


MAX_SUFFIX_BYTES = len(".ndjson.zst")


def sequence_name(origin: Origin, first: str) -> str:
    """Name a stream's object by its first sequence number."""
    if not (first.isascii() and first.isdecimal() and len(first) <= SEQUENCE_DIGITS):
        first = _shorten(percent_encode(first), SEQUENCE_DIGITS)  # no number that AWS gives
    return f"{origin.stem}-{first:0>{SEQUENCE_DIGITS}}"


def message_set_name(
    origin: Origin, oldest_s: float, digest: str, lowest_sequence_number: str | None
) -> str:
    """Name a queue's object by its oldest time (FIFO: its lowest number) and its set of ids.

    Args:
        origin: the queue.
        oldest_s: the oldest `SentTimestamp`, in seconds since 1970.
        digest: of the sorted message ids, at least 32 hex digits.
        lowest_sequence_number: of a FIFO queue, which stands in place of the time.
    """
    if lowest_sequence_number is not None:
        start = f"{lowest_sequence_number:0>{FIFO_DIGITS}}"
    else:
        start = f"{round(oldest_s * 1000):0{TIME_DIGITS}d}"
    return f"{origin.stem}-{start}-{digest[:MESSAGE_SET_DIGITS]}"


def uuid7(now_ms: int, counter: int, random_bits: int) -> str:
    """Make a UUID version 7 from a time, 12 bits of a counter, and 62 random bits.

    Source: RFC 9562, section 5.7, and 6.2, method 1.
    """
    value = (now_ms & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | (counter & MAX_UUID_COUNTER) << 64
    value |= 0b10 << 62 | random_bits & (1 << 62) - 1
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


class Uuid7Generator:
    """Return a new UUIDv7 at each call; each sorts after the one before it."""

    def __init__(self, wall_clock: Callable[[], float], random_bits: Callable[[int], int]) -> None:
        """Take the time, in seconds since 1970, and random bits from outside."""
        self._wall_clock = wall_clock
        self._random_bits = random_bits
        self._last = (0, 0)

    def __call__(self) -> str:
        """Return the next name."""
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
    """Spread names evenly over `fanout` prefixes: the first bits of SHA-256 of the name, base 2.

    Base 2, for few candidates a position let S3 split a prefix soonest.
    """
    bits = fanout.bit_length() - 1
    if not bits:
        return ""
    digest = hashlib.sha256(name.encode()).digest()
    return format(int.from_bytes(digest[:2], "big"), "016b")[:bits]


def root_prefix(root: str) -> str:
    """Return what all keys under `root` start with; what is empty leaves no slash."""
    return f"{root}/" if root else ""


def make_stem(*names: str) -> str:
    """Join the names that an event gives for queue, stream and shard into the start of a name.

    Hive, Spark and Athena pass over files whose names start with `_` or `.`: these are encoded.
    """
    joined = "-".join(percent_encode(name) for name in names if name)
    if joined.startswith(("_", ".")):
        joined = f"%{ord(joined[0]):02X}{joined[1:]}"
    return _shorten(joined, MAX_STEM_BYTES)


def _shorten(name: str, max_bytes: int) -> str:
    """Cut what is too long for a key, and tell it from its like by a digest."""
    if len(name) <= max_bytes:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:DIGEST_DIGITS]
    return f"{name[: max_bytes - DIGEST_DIGITS - 1]}~{digest}"


def max_key_bytes(root: str, fanout: int, max_partition_bytes: int) -> int:
    """Bound the bytes of any key under these settings."""
    salt_bytes = fanout.bit_length() - 1
    name_bytes = MAX_NAME_BYTES + MAX_SUFFIX_BYTES
    return (
        len(root.encode("utf-8", "surrogatepass"))
        + salt_bytes
        + max_partition_bytes
        + name_bytes
        + 3
    )


def quarantine_date(arrival_s: float) -> str:
    """Return the `dt=` of a quarantine key."""
    return datetime.fromtimestamp(arrival_s, UTC).strftime("%Y-%m-%d")
