"""Program: an asyncio program's own records, read into runs of a size that suits the event loop."""

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


CHUNK_RECORDS = 8_192
"""What `submit_many` admits at a time: short enough for the event loop, long enough for C speed."""


ASSUMED_DICT_BYTES = 1024
"""What a dict is taken for until it is JSON."""


_ORIGIN = Origin("library", NamingScheme.FRESH)


def make_chunk(
    records: Sequence[Record], first_number: int, now_s: float
) -> tuple[Chunk, list[BadRecord]]:
    """Make a run of a program's records; text with a lone surrogate is a bad one.

    Args:
        records: some that were submitted together.
        first: how many were submitted before them.
        now_s: the time, in seconds since 1970.

    Raises:
        TypeError: one is none, or holds what JSON has no form for; see `first_unfit`.
    """
    positions = RangeColumn("", range(first_number, first_number + len(records)))
    arrivals_s = ConstantColumn(now_s, len(records))
    if set(map(type, records)) == {bytes}:
        payloads: Sequence[bytes] = records  # type: ignore[assignment]  # all of them are
    else:
        try:
            payloads = list(map(to_payload, records))
        except UnicodeEncodeError:
            return _make_chunk_of_odd_texts(records, positions, arrivals_s)
    return Chunk(_ORIGIN, payloads, positions, arrivals_s), []


def _make_chunk_of_odd_texts(
    records: Sequence[Record], positions: RangeColumn, arrivals_s: ConstantColumn[float]
) -> tuple[Chunk, list[BadRecord]]:
    """Make a run whose payloads include text that has no form in UTF-8."""
    payloads: list[bytes] = []
    kept: list[int] = []
    odd: list[tuple[int, str]] = []
    for index, record in enumerate(records):
        try:
            payloads.append(to_payload(record))
            kept.append(index)
        except UnicodeEncodeError as error:
            odd.append((index, f"the text has a lone surrogate at character {error.start}"))
    whole = Chunk(_ORIGIN, records, positions, arrivals_s)  # type: ignore[arg-type]  # of `str`
    bad = [BadRecord(whole.take([i]), BadRecordReason.NOT_UTF8, detail) for i, detail in odd]
    return replace(whole.take(kept), payloads=payloads), bad


def find_unfit(records: Sequence[object]) -> int:
    """Return the index of the first that cannot be a payload."""
    for index, record in enumerate(records):
        try:
            to_payload(record)
        except TypeError:
            return index
        except UnicodeEncodeError:
            continue  # a bad record, but one
    return 0


def iter_slices(records: Iterable[Record]) -> Iterator[Sequence[Record]]:
    """Cut records into slices of about 1 MiB, as far as their sizes are known."""
    rest = iter(records)
    while part := list(islice(rest, CHUNK_RECORDS)):
        sizes = [len(record) for record in part if isinstance(record, str | bytes)]
        mean_bytes = max(1, sum(sizes) // len(sizes)) if sizes else ASSUMED_DICT_BYTES
        step = max(1, CHUNK_BYTES // mean_bytes)
        for start in range(0, len(part), step):
            yield part[start : start + step]
