"""Program: records that an asyncio program submits, read into chunks of bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat
from typing import NamedTuple

from msgspec.structs import replace

from batcher.records.bad_record import BadRecord, BadRecordReason
from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.records.columns import ConstantColumn, RangeColumn
from batcher.records.payload import JsonDefault, Record, to_payload

CHUNK_BYTES = 1024**2
"""Payload bytes per chunk of `submit_many`."""

CHUNK_RECORDS = 8_192
"""Records per chunk of `submit_many`: few enough not to block the event loop, enough for C speed.
"""

CHUNK_PARTITIONS = 1_024
"""Records per chunk if each may open a batch: 4 MiB of the budget, which are taken at once."""

ASSUMED_DICT_BYTES = 1024
"""The size assumed for a dict before it is written as JSON."""

_ORIGIN = Origin("library", NamingScheme.FRESH)


class ProgramRecords(NamedTuple):
    """What `make_chunk` made of a program's records, up to the first that JSON cannot express."""

    chunk: Chunk
    bad: list[BadRecord]
    """Text with a lone surrogate, which is in no chunk."""
    error: TypeError | None
    """Why the next record is no record, or None if it has made all."""


def make_chunk(
    records: Sequence[Record], first_number: int, now_s: float, default: JsonDefault | None = None
) -> ProgramRecords:
    """Make a chunk of a program's records. Each is read once.

    Args:
        records: records that were submitted together.
        first_number: the number of the first record: how many were submitted before it.
        now_s: the time in seconds since 1970.
        default: the user's function for values that JSON lacks; see `to_payload`.

    Raises:
        MemoryError, RetryableError: `default` raised it.
    """
    bad: list[tuple[int, str]] = []
    error: TypeError | None = None
    payloads: Sequence[bytes] = records  # type: ignore[assignment]  # if all of them are
    if set(map(type, records)) != {bytes}:
        payloads, bad, error = _to_payloads(records, default)
    taken = len(payloads) + len(bad)
    positions = RangeColumn("", range(first_number, first_number + taken))
    arrivals_s = ConstantColumn(now_s, taken)
    if not bad:
        return ProgramRecords(Chunk(_ORIGIN, payloads, positions, arrivals_s), [], error)
    whole = Chunk(_ORIGIN, records[:taken], positions, arrivals_s)  # type: ignore[arg-type]
    unencodable = {index for index, _ in bad}
    kept = [index for index in range(taken) if index not in unencodable]
    return ProgramRecords(
        replace(whole.take(kept), payloads=payloads),
        [BadRecord(whole.take([i]), BadRecordReason.NOT_UTF8, detail) for i, detail in bad],
        error,
    )


def _to_payloads(
    records: Sequence[Record], default: JsonDefault | None
) -> tuple[list[bytes], list[tuple[int, str]], TypeError | None]:
    """Return payloads, index and fault of text with lone surrogates, and what ended it early."""
    payloads: list[bytes] = []
    bad: list[tuple[int, str]] = []
    rest = iter(records)
    while True:
        try:
            payloads.extend(map(to_payload, rest, repeat(default)))  # keeps those before an error
        except UnicodeEncodeError as error:
            detail = f"the text has a lone surrogate at character {error.start}"
            bad.append((len(payloads) + len(bad), detail))
        except TypeError as error:
            return payloads, bad, error
        else:
            return payloads, bad, None


def to_sized(record: Record, default: JsonDefault | None = None) -> bytes | str:
    """Return a record whose length is known: text and bytes as they are, all else as its payload.

    Raises:
        TypeError, MemoryError, RetryableError: see `to_payload`.
    """
    return record if isinstance(record, bytes | str) else to_payload(record, default)


def iter_slices(
    records: Iterable[Record], *, partitioned: bool = False
) -> Iterator[Sequence[Record]]:
    """Cut records into slices of about `CHUNK_BYTES`, by the mean size of those with a length.

    If the iterable raises, the records before the error are in slices first.

    Args:
        records: any number.
        partitioned: whether each record may have a partition of its own. Slices are then small.
    """
    max_records = CHUNK_PARTITIONS if partitioned else CHUNK_RECORDS
    rest = iter(records)
    failure: Exception | None = None
    while failure is None:
        part: list[Record] = []
        try:
            part.extend(islice(rest, max_records))
        except Exception as error:  # noqa: BLE001  # raised below
            failure = error
        if not part:
            break
        sizes = [len(record) for record in part if isinstance(record, str | bytes)]
        mean_bytes = max(1, sum(sizes) // len(sizes)) if sizes else ASSUMED_DICT_BYTES
        step = max(1, CHUNK_BYTES // mean_bytes)
        for start in range(0, len(part), step):
            yield part[start : start + step]
    if failure is not None:
        raise failure
