"""Lines: NDJSON files of any size, seeded, like orders of a shop or lines of an access log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson
from isal import isal_zlib

from body_decoder import combine_checksums
from events import make_event, payloads

MIB = 1024**2
RECORD_BYTES = 1000
"""Of an order; with its newline some more than a thousand lines a MB."""


@dataclass(frozen=True, slots=True)
class Lines:
    """A file, and what its contents add up to."""

    file: Path
    size_bytes: int
    records: int
    crc32: int


def write_lines(file: Path, size_bytes: int) -> Lines:
    """Write whole blocks of some 3 MB, again and again, until the file has at least that size.

    No codec at its first level sees as far back as one block.
    """
    bodies = payloads(make_event("sqs", RECORD_BYTES))
    block = b"".join(body + b"\n" for body in bodies)
    times = max(1, -(-size_bytes // len(block)))
    with file.open("wb") as output:
        for _ in range(times):
            output.write(block)
    crc32, total_bytes = combine_checksums([(isal_zlib.crc32(block), len(block))] * times)
    return Lines(file, total_bytes, len(bodies) * times, crc32)


def write_partitioned(file: Path, records: int, partitions: int) -> Lines:
    """Write small records whose field `tenant` goes round the partitions."""
    crc32 = size_bytes = 0
    with file.open("wb") as output:
        for first in range(0, records, 10_000):
            numbers = range(first, min(first + 10_000, records))
            text = b"".join(
                orjson.dumps({"tenant": f"t{i % partitions:05d}", "id": i, "note": "x" * 160})
                + b"\n"
                for i in numbers
            )
            output.write(text)
            crc32, size_bytes = isal_zlib.crc32(text, crc32), size_bytes + len(text)
    return Lines(file, size_bytes, records, crc32)
