"""Program: records that an asyncio program submits, read into chunks of bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from msgspec.structs import replace

from batcher.records.bad_record import BadRecord, BadRecordReason
from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.records.columns import ConstantColumn, RangeColumn
from batcher.records.payload import to_payload

Record = bytes | str | dict[str, Any]

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


def make_chunk(
    records: Sequence[Record], first_number: int, now_s: float
) -> tuple[Chunk, list[BadRecord]]:
    """Make a chunk of a program's records. Text with a lone surrogate is a bad record.

    Args:
        records: records that were submitted together.
        first_number: the number of the first record: how many were submitted before it.
        now_s: the time in seconds since 1970.

    Raises:
        TypeError: a record has another type, or holds a value that JSON cannot express. Call
            `find_unfit` for its index.
    """
    positions = RangeColumn("", range(first_number, first_number + len(records)))
    arrivals_s = ConstantColumn(now_s, len(records))
    if set(map(type, records)) == {bytes}:
        payloads: Sequence[bytes] = records  # type: ignore[assignment]  # all of them are
    else:
        try:
            payloads = list(map(to_payload, records))
        except UnicodeEncodeError:
            return _make_chunk_of_surrogates(records, positions, arrivals_s)
    return Chunk(_ORIGIN, payloads, positions, arrivals_s), []


def _make_chunk_of_surrogates(
    records: Sequence[Record], positions: RangeColumn, arrivals_s: ConstantColumn[float]
) -> tuple[Chunk, list[BadRecord]]:
    """Make a chunk of records of which some are text with lone surrogates."""
    payloads: list[bytes] = []
    kept: list[int] = []
    unencodable: list[tuple[int, str]] = []
    for index, record in enumerate(records):
        try:
            payloads.append(to_payload(record))
            kept.append(index)
        except UnicodeEncodeError as error:
            unencodable.append((index, f"the text has a lone surrogate at character {error.start}"))
    whole = Chunk(_ORIGIN, records, positions, arrivals_s)  # type: ignore[arg-type]  # of `str`
    bad = [
        BadRecord(whole.take([i]), BadRecordReason.NOT_UTF8, detail) for i, detail in unencodable
    ]
    return replace(whole.take(kept), payloads=payloads), bad


def find_unfit(records: Sequence[object]) -> int:
    """Return the index of the first record on which `make_chunk` raises TypeError."""
    for index, record in enumerate(records):
        try:
            to_payload(record)
        except TypeError:
            return index
        except UnicodeEncodeError:
            continue  # a bad record, but it has a payload
    return 0


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
