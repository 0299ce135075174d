"""Event fields: reads the fields of an event's records into columns. Shared by the sources.

Lambda passes each record in an envelope: a dict with the payload, its position, its time and its
ARN. No other envelopes, such as those of SNS or EventBridge, are unwrapped. Each source
has a fast path of C calls over whole columns, and a path that reads record by record where a value
is missing or malformed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isnan
from operator import itemgetter
from typing import Any

from msgspec.structs import replace

from batcher.errors import RejectedError, UnknownSourceError
from batcher.records.bad_record import BadRecord, BadRecordReason, to_description
from batcher.records.chunk import Chunk
from batcher.records.columns import MillisColumn

EventRecords = Sequence[Mapping[str, Any]]

_SOURCE, _ARN = itemgetter("eventSource"), itemgetter("eventSourceARN")

_MAX_TIME_S = 253_402_300_800
"""The start of the year 10000, where `datetime` ends."""

_MAX_SOURCES = 5
"""The most sources that a message names."""

_TIME_RANGE_ERROR = "a time outside the years 1970 to 9999"


def require_identities(column: Sequence[object], name: str) -> list[str]:
    """Return `column` as text. The response to Lambda names records by it.

    Raises:
        RejectedError: a record has no identity. The message has its index. The event fails.
    """
    if set(map(type, column)) == {str} and all(column):
        return column  # type: ignore[return-value]  # checked in the line above
    for index, identity in enumerate(column):
        if not isinstance(identity, str) or not identity:
            msg = f"Records[{index}] of {len(column)} has no {name}, so it cannot be acknowledged"
            raise RejectedError(msg)
    return column  # type: ignore[return-value]  # checked in the loop


def get_path(record: object, *path: str) -> Any:  # noqa: ANN401  # any JSON value
    """Return a value of nested mappings, or None if a step is missing."""
    for name in path:
        if not isinstance(record, Mapping):
            return None
        record = record.get(name)
    return record


def parse_seconds(value: object, unit_s: float, default_s: float) -> float:
    """Return a timestamp in seconds since 1970, or the default if it is not one."""
    try:
        found_s = float(value) * unit_s  # type: ignore[arg-type]  # a TypeError is caught
    except (TypeError, ValueError, OverflowError):
        return default_s
    return found_s if 0 <= found_s < _MAX_TIME_S else default_s


def read_times(
    records: EventRecords, path: Sequence[str], unit_s: float, now_s: float
) -> list[float]:
    """Return the times at `path`, in seconds since 1970.

    A record without a time gets the first time in the event, so that a redelivery gives the same
    keys. If no record has a time, all get `now_s`.
    """
    found_s = [parse_seconds(get_path(record, *path), unit_s, -1.0) for record in records]
    default_s = next((time_s for time_s in found_s if time_s >= 0), now_s)
    return [time_s if time_s >= 0 else default_s for time_s in found_s]


def distinct_arns(records: EventRecords, source: str) -> set[str]:
    """Return the different ARNs of the records, after checking that all are of `source`.

    Raises:
        UnknownSourceError: the records are of several sources.
    """
    try:
        # Comparing a column costs less than half of hashing it. One ARN means one source
        arns, arn = list(map(_ARN, records)), get_arn(records[0])
        is_single = bool(arn) and arns.count(arn) == len(records)
        if is_single and _SOURCE(records[0]) == source:  # nearly always
            return {arn}
    except (KeyError, TypeError):
        pass
    names = distinct_sources(records)
    if names != [source]:
        msg = f"event of several sources: {', '.join(names)}; an event must have one source"
        raise UnknownSourceError(msg)
    return {get_arn(record) for record in records}


def get_arn(record: object) -> str:
    """Return the ARN of a record, or an empty string if it has none."""
    found = get_path(record, "eventSourceARN")
    return found if isinstance(found, str) else ""


def distinct_sources(records: Sequence[object]) -> list[str]:
    """Return the different sources that the records name, for a message."""
    return sorted({_source_name(record) for record in records})[:_MAX_SOURCES]


def _source_name(record: object) -> str:
    if not isinstance(record, Mapping):
        return f"a record that is {type(record).__name__}"
    name = record.get("eventSource") or record.get("EventSource") or "no named source"
    return short_name(name)


def short_name(name: object) -> str:
    """Return a name from an event for a message, or its type if it is no text."""
    return f"{name:.100}" if isinstance(name, str) else f"a {type(name).__name__}"


def parse_milliseconds(texts: Iterable[str]) -> MillisColumn:
    """Parse whole milliseconds since 1970, at C speed.

    Raises:
        TypeError, ValueError: a text is not an integer, or not a time that `datetime` can hold.
    """
    try:
        column = MillisColumn(_read_digits(list(texts)))
        if 0 <= column.min_s <= column.max_s < _MAX_TIME_S:
            return column
    except OverflowError:  # 400 digits, or 1e400
        pass
    raise ValueError(_TIME_RANGE_ERROR)


def _read_digits(texts: list[str]) -> Sequence[int] | Sequence[str]:
    """Return digits of one width unchanged, at a third of the cost, and parse all others."""
    joined = "".join(texts)
    # bytes.isdigit, because str.isdecimal looks up every character
    is_plain = joined.isascii() and joined.encode().isdigit() and len(set(map(len, texts))) == 1
    return texts if is_plain else list(map(int, texts))


def check_times(times_s: list[float]) -> list[float]:
    """Return `times_s` unchanged after checking that `datetime` can hold all of them.

    Raises:
        ValueError: a time is NaN, before 1970 or after 9999.
    """
    # A sum is NaN if any value is. min and max are NaN only if the first value is
    if not 0 <= min(times_s) <= max(times_s) < _MAX_TIME_S or isnan(sum(times_s)):
        raise ValueError(_TIME_RANGE_ERROR)
    return times_s


def group_by(
    chunk: Chunk, get_name: Callable[[Mapping[str, Any]], object]
) -> list[tuple[object, Chunk]]:
    """Divide a chunk by the queue or shard of each record."""
    groups: dict[object, list[int]] = {}
    for index, envelope in enumerate(chunk.envelopes or ()):
        groups.setdefault(get_name(envelope), []).append(index)
    return [(name, chunk.take(indices)) for name, indices in groups.items()]


def split_non_text(
    chunk: Chunk, detail: str, texts: tuple[type, ...] = (str,)
) -> tuple[Chunk, list[BadRecord]]:
    """Return the records whose payload is text, and the others as bad records with `detail`.

    Args:
        chunk: records with payloads of any type.
        detail: of the bad records.
        texts: the types that are text.
    """
    if set(map(type, chunk.payloads)) <= set(texts):
        return chunk, []
    non_texts = [i for i, payload in enumerate(chunk.payloads) if not isinstance(payload, texts)]
    bad = []
    for index in non_texts:
        record = chunk.take([index])
        payload = to_description(record.payloads[0])
        bad.append(
            BadRecord(replace(record, payloads=[payload]), BadRecordReason.MALFORMED, detail)
        )
    good = sorted(set(range(len(chunk))) - set(non_texts))
    return chunk.take(good), bad


def name_in_arn(arn: object, fallback: str) -> str:
    """Return the last part of an ARN, or `fallback` if it has none."""
    return (arn.rpartition(":")[2] if isinstance(arn, str) else "") or fallback
