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

FIRST_RECORDS = 32
"""Records that are read before the size of any is known."""

STEP_RECORDS = 256
"""Records that are read before their sizes are looked at."""

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


class Slicer:
    """Cuts a program's records into slices of about `CHUNK_BYTES`, by the sizes seen so far.

    Iterables are read in small steps, and each step is measured: records may be large.
    """

    def __init__(self, *, partitioned: bool = False) -> None:
        """Start with a small step.

        Args:
            partitioned: whether each record may have a partition of its own. Slices are then small.
        """
        self._max_records = CHUNK_PARTITIONS if partitioned else CHUNK_RECORDS
        self._mean_bytes = CHUNK_BYTES // FIRST_RECORDS

    def note_size(self, records: int, size_bytes: int) -> None:
        """Note the size of the payloads of the records that were seen last."""
        if records:
            self._mean_bytes = max(1, size_bytes // records)

    def iter_slices(self, records: Iterable[Record]) -> Iterator[Sequence[Record]]:
        """Cut any number of records.

        If the iterable raises, the records before the error are in slices first. The size of a dict
        is known after it was written as JSON: note it before the next slice is asked for.
        """
        rest = iter(records)
        failure: Exception | None = None
        while failure is None:
            part: list[Record] = []
            known = size_bytes = 0
            while known == len(part) < self._max_records and size_bytes < CHUNK_BYTES:
                fitting = max(1, (CHUNK_BYTES - size_bytes) // self._mean_bytes)
                step = min(fitting, STEP_RECORDS, self._max_records - len(part))
                try:
                    part.extend(islice(rest, step))
                except Exception as error:  # noqa: BLE001  # raised below
                    failure = error
                if len(part) == known:
                    break
                sizes = [len(each) for each in part[known:] if isinstance(each, str | bytes)]
                self.note_size(len(sizes), sum(sizes))
                known += len(sizes)
                size_bytes += sum(sizes)
                if failure is not None:
                    break
            length = max(1, CHUNK_BYTES // max(1, size_bytes // known)) if known else STEP_RECORDS
            for start in range(0, len(part), length):
                yield part[start : start + length]
            if not part:
                break
        if failure is not None:
            raise failure
