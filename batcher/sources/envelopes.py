"""Columns out of an event's records, and what is wrong with a record that gives none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isnan
from operator import itemgetter
from typing import Any

from msgspec.structs import replace

from batcher.errors import RejectedError, UnknownSourceError
from batcher.records.bad_record import BadRecord, BadRecordReason
from batcher.records.chunk import Chunk
from batcher.records.columns import MillisColumn

EventRecords = Sequence[Mapping[str, Any]]


_SOURCE, _ARN = itemgetter("eventSource"), itemgetter("eventSourceARN")


_MAX_TIME_S = 253_402_300_800  # the year 10000, where datetime ends


_TIME_RANGE_ERROR = "a time outside the years 1970 to 9999"


def require_identities(column: Sequence[object], name: str) -> list[str]:
    """Return the column of identities, which the answer needs.

    Raises:
        RejectedError: a record has none; it names which. Everything comes back.
    """
    if set(map(type, column)) == {str} and all(column):
        return column  # type: ignore[return-value]  # the line above says so
    for index, identity in enumerate(column):
        if not isinstance(identity, str) or not identity:
            msg = f"Records[{index}] of {len(column)} has no {name}, so it cannot be acknowledged"
            raise RejectedError(msg)
    return column  # type: ignore[return-value]  # every one was looked at


def get_path(record: object, *path: str) -> Any:  # noqa: ANN401  # whatever the event holds
    """Look a value up in nested mappings; None where a step is missing."""
    for name in path:
        if not isinstance(record, Mapping):
            return None
        record = record.get(name)
    return record


def parse_seconds(value: object, unit_s: float, default_s: float) -> float:
    """Read a timestamp as seconds since 1970, or give the default where it is none."""
    try:
        found_s = float(value) * unit_s  # type: ignore[arg-type]  # a TypeError is caught
    except (TypeError, ValueError, OverflowError):
        return default_s
    return found_s if 0 <= found_s < _MAX_TIME_S else default_s


def read_times(
    records: EventRecords, path: Sequence[str], unit_s: float, now_s: float
) -> list[float]:
    """Read the times that stand at `path`, in seconds since 1970.

    A record without one has the event's first: a redelivery finds that again, and with it the same
    keys. Only where no record has one it is `now_s`.
    """
    found_s = [parse_seconds(get_path(record, *path), unit_s, -1.0) for record in records]
    default_s = next((time_s for time_s in found_s if time_s >= 0), now_s)
    return [time_s if time_s >= 0 else default_s for time_s in found_s]


def distinct_arns(records: EventRecords, source: str) -> set[str]:
    """Return the different ARNs of records that all are of one source.

    Raises:
        UnknownSourceError: they are of several sources.
    """
    try:
        # Comparing a column costs less than half of hashing it. One queue or stream is one source
        arns, arn = list(map(_ARN, records)), get_arn(records[0])
        is_one = bool(arn) and arns.count(arn) == len(records)
        if is_one and _SOURCE(records[0]) == source:  # nearly always
            return {arn}
    except (KeyError, TypeError):
        pass
    names = distinct_sources(records)
    if names != [source]:
        msg = f"an event of several sources: {', '.join(names)}; a mapping gives one at a time"
        raise UnknownSourceError(msg)
    return {get_arn(record) for record in records}


def get_arn(record: object) -> str:
    """Return a record's ARN, or nothing where it has none."""
    found = get_path(record, "eventSourceARN")
    return found if isinstance(found, str) else ""


def distinct_sources(records: Sequence[object]) -> list[str]:
    """Return the different sources that the records name, for people."""
    return sorted({_source_name(record) for record in records})


def _source_name(record: object) -> str:
    if not isinstance(record, Mapping):
        return f"a record that is {type(record).__name__}"
    return str(record.get("eventSource") or record.get("EventSource") or "no named source")


def parse_milliseconds(texts: Iterable[str]) -> MillisColumn:
    """Read whole milliseconds since 1970, at C speed.

    Raises:
        TypeError, ValueError: one of them is none.
    """
    try:
        column = MillisColumn(_read_digits(list(texts)))
        if 0 <= column.min_s <= column.max_s < _MAX_TIME_S:
            return column
    except OverflowError:  # 400 digits, or 1e400
        pass
    raise ValueError(_TIME_RANGE_ERROR)


def _read_digits(texts: list[str]) -> Sequence[int] | Sequence[str]:
    """Leave digits of one width as they are (a third of the cost), and read all others."""
    joined = "".join(texts)
    # Of bytes: `str.isdecimal` looks every character up
    is_plain = joined.isascii() and joined.encode().isdigit() and len(set(map(len, texts))) == 1
    return texts if is_plain else list(map(int, texts))


def check_times(times_s: list[float]) -> list[float]:
    """Return the times back, if all are ones that a calendar has.

    Raises:
        ValueError: one is before 1970, or after 9999.
    """
    # A sum is NaN if one of them is, which min and max only are if that stands first
    if not 0 <= min(times_s) <= max(times_s) < _MAX_TIME_S or isnan(sum(times_s)):
        raise ValueError(_TIME_RANGE_ERROR)
    return times_s


def drop_duplicates(chunk: Chunk) -> Chunk:
    """Return the run with each position once: an identity that comes twice is written once."""
    if len(set(chunk.positions)) == len(chunk):
        return chunk
    first: dict[str, int] = {}
    for index, position in enumerate(chunk.positions):
        first.setdefault(position, index)
    return chunk.take(list(first.values()))


def group_by(
    chunk: Chunk, get_name: Callable[[Mapping[str, Any]], object]
) -> list[tuple[object, Chunk]]:
    """Divide a run by the queue or shard of each record; nearly always there is one."""
    groups: dict[object, list[int]] = {}
    for index, envelope in enumerate(chunk.envelopes or ()):
        groups.setdefault(get_name(envelope), []).append(index)
    return [(name, chunk.take(indices)) for name, indices in groups.items()]


def split_non_text(chunk: Chunk, detail: str) -> tuple[Chunk, list[BadRecord]]:
    """Take out records whose payload is not even text; they are bad, and the others go on."""
    if set(map(type, chunk.payloads)) <= {str}:
        return chunk, []
    odd = [i for i, payload in enumerate(chunk.payloads) if not isinstance(payload, str)]
    bad = []
    for index in odd:
        one = chunk.take([index])
        shown = json.dumps(one.payloads[0], default=repr).encode()
        bad.append(BadRecord(replace(one, payloads=[shown]), BadRecordReason.MALFORMED, detail))
    good = sorted(set(range(len(chunk))) - set(odd))
    return chunk.take(good), bad


def name_in_arn(arn: object, fallback: str) -> str:
    """Return what stands after an ARN's last colon, or `fallback`."""
    return (arn.rpartition(":")[2] if isinstance(arn, str) else "") or fallback
