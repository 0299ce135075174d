"""Columns out of an event's records, and what is wrong with a record that gives none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isnan
from operator import itemgetter
from typing import Any

from msgspec.structs import replace

from batcher.errors import RejectedError, UnknownSourceError
from batcher.records.bad_record import BadRecord, Reason
from batcher.records.chunk import Run
from batcher.records.columns import Millis

Records = Sequence[Mapping[str, Any]]


_SOURCE, _ARN = itemgetter("eventSource"), itemgetter("eventSourceARN")


_END_S = 253_402_300_800  # the year 10000, where datetime ends


_NO_TIME = "a time outside the years 1970 to 9999"


def identities(column: Sequence[object], name: str) -> list[str]:
    """Give the column of identities, which the answer needs.

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


def at(record: object, *path: str) -> Any:  # noqa: ANN401  # whatever the event holds
    """Look a value up in nested mappings; None where a step is missing."""
    for name in path:
        if not isinstance(record, Mapping):
            return None
        record = record.get(name)
    return record


def seconds(value: object, unit_s: float, default_s: float) -> float:
    """Read a timestamp as seconds since 1970, or give the default where it is none."""
    try:
        found_s = float(value) * unit_s  # type: ignore[arg-type]  # a TypeError is caught
    except (TypeError, ValueError, OverflowError):
        return default_s
    return found_s if 0 <= found_s < _END_S else default_s


def times_of(records: Records, path: Sequence[str], unit_s: float, now_s: float) -> list[float]:
    """Read the times that stand at `path`, in seconds since 1970.

    A record without one has the event's first: a redelivery finds that again, and with it the same
    keys. Only where no record has one it is `now_s`.
    """
    found_s = [seconds(at(record, *path), unit_s, -1.0) for record in records]
    default_s = next((time_s for time_s in found_s if time_s >= 0), now_s)
    return [time_s if time_s >= 0 else default_s for time_s in found_s]


def arns_of(records: Records, source: str) -> set[str]:
    """Give the different ARNs of records that all are of one source.

    Raises:
        UnknownSourceError: they are of several sources.
    """
    try:
        # Comparing a column costs less than half of hashing it. One queue or stream is one source
        arns, arn = list(map(_ARN, records)), arn_of(records[0])
        is_one = bool(arn) and arns.count(arn) == len(records)
        if is_one and _SOURCE(records[0]) == source:  # nearly always
            return {arn}
    except (KeyError, TypeError):
        pass
    names = source_names(records)
    if names != [source]:
        msg = f"an event of several sources: {', '.join(names)}; a mapping gives one at a time"
        raise UnknownSourceError(msg)
    return {arn_of(record) for record in records}


def arn_of(record: object) -> str:
    """Give a record's ARN, or nothing where it has none."""
    found = at(record, "eventSourceARN")
    return found if isinstance(found, str) else ""


def source_names(records: Sequence[object]) -> list[str]:
    """Give the different sources that the records name, for people."""
    return sorted({_source_name(record) for record in records})


def _source_name(record: object) -> str:
    if not isinstance(record, Mapping):
        return f"a record that is {type(record).__name__}"
    return str(record.get("eventSource") or record.get("EventSource") or "no named source")


def milliseconds(texts: Iterable[str]) -> Millis:
    """Read whole milliseconds since 1970, at C speed.

    Raises:
        TypeError, ValueError: one of them is none.
    """
    try:
        column = Millis(_of_one_width(list(texts)))
        if 0 <= column.lowest_s <= column.highest_s < _END_S:
            return column
    except OverflowError:  # 400 digits, or 1e400
        pass
    raise ValueError(_NO_TIME)


def _of_one_width(texts: list[str]) -> Sequence[int] | Sequence[str]:
    """Leave digits of one width as they are (a third of the cost), and read all others."""
    joined = "".join(texts)
    # Of bytes: `str.isdecimal` looks every character up
    is_plain = joined.isascii() and joined.encode().isdigit() and len(set(map(len, texts))) == 1
    return texts if is_plain else list(map(int, texts))


def in_range(times_s: list[float]) -> list[float]:
    """Give the times back, if all are ones that a calendar has.

    Raises:
        ValueError: one is before 1970, or after 9999.
    """
    # A sum is NaN if one of them is, which min and max only are if that stands first
    if not 0 <= min(times_s) <= max(times_s) < _END_S or isnan(sum(times_s)):
        raise ValueError(_NO_TIME)
    return times_s


def once(run: Run) -> Run:
    """Give the run with each position once: an identity that comes twice is written once."""
    if len(set(run.positions)) == len(run):
        return run
    first: dict[str, int] = {}
    for index, position in enumerate(run.positions):
        first.setdefault(position, index)
    return run.take(list(first.values()))


def by_name(run: Run, name_of: Callable[[Mapping[str, Any]], object]) -> list[tuple[object, Run]]:
    """Divide a run by the queue or shard of each record; nearly always there is one."""
    groups: dict[object, list[int]] = {}
    for index, envelope in enumerate(run.envelopes or ()):
        groups.setdefault(name_of(envelope), []).append(index)
    return [(name, run.take(indices)) for name, indices in groups.items()]


def texts_only(run: Run, detail: str) -> tuple[Run, list[BadRecord]]:
    """Take out records whose payload is not even text; they are bad, and the others go on."""
    if set(map(type, run.payloads)) <= {str}:
        return run, []
    odd = [i for i, payload in enumerate(run.payloads) if not isinstance(payload, str)]
    bad = []
    for index in odd:
        one = run.take([index])
        shown = json.dumps(one.payloads[0], default=repr).encode()
        bad.append(BadRecord(replace(one, payloads=[shown]), Reason.MALFORMED, detail))
    good = sorted(set(range(len(run))) - set(odd))
    return run.take(good), bad


def name_in_arn(arn: object, fallback: str) -> str:
    """Give what stands after an ARN's last colon, or `fallback`."""
    return (arn.rpartition(":")[2] if isinstance(arn, str) else "") or fallback
