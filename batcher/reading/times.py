"""Times: parse times of users and of quarantine records, and derive time ranges from keys."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import inf
from typing import TYPE_CHECKING

from batcher.errors import SettingsError
from batcher.records.chunk import NamingScheme
from batcher.settings import MAX_LINGER_S

if TYPE_CHECKING:
    from batcher.keys.parse import ParsedKey
    from batcher.stores.base import ListEntry

HOUR_S, DAY_S = 3_600, 86_400

TimeInput = str | date | None
"""A time as users give it, or None for no bound. A `datetime` is a `date`, and has a time zone."""


def parse_time_range(since: TimeInput, until: TimeInput, now_s: float) -> TimeRange:
    """Parse a time range. It may be empty, or end before it starts.

    Args:
        since: the start: a `date` (its first second, UTC) or a `datetime` with a time zone, or a
            text: an ISO 8601 date or date-time, in UTC if it names no time zone, or an age: `30s`,
            `15m`, `2h`, `3d`, `1w`.
        until: the end, exclusive; written like `since`.
        now_s: the current time, in seconds since 1970, from which ages are subtracted.

    Raises:
        SettingsError: has every fault.
    """
    faults: list[str] = []
    bounds = {"since": -inf, "until": inf}
    for name, value in (("since", since), ("until", until)):
        if value is not None:
            try:
                bounds[name] = _parse_time_input(value, now_s)
            except TypeError as error:
                faults.append(f"{name}: {error}")
            except (ValueError, OverflowError):
                faults.append(
                    f"{name}: cannot parse {value!r}; give an ISO 8601 date or date-time, or an "
                    "age such as 2h"
                )
    if faults:
        raise SettingsError(faults)
    return TimeRange(bounds["since"], bounds["until"])


def parse_time(text: str) -> float:
    """Parse an ISO 8601 date or date-time, in UTC if it has no time zone. Return a Unix time.

    Raises:
        ValueError: it is neither.
    """
    return _timestamp_s(datetime.fromisoformat(text))


_AGE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])")
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def _timestamp_s(time: datetime) -> float:
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _parse_time_input(value: str | date, now_s: float) -> float:
    """Return the Unix time of an input.

    Raises:
        TypeError: it is of another type, or a `datetime` without a time zone. The message has no
            name.
        ValueError: the text cannot be parsed.
        OverflowError: it is out of range.
    """
    match value:
        case datetime():
            if value.utcoffset() is None:
                msg = (
                    f"{value!r} has no time zone: Python takes it as local time, and the folders "
                    "are in UTC; write datetime.now(UTC), value.replace(tzinfo=UTC) if it is in "
                    "UTC, or value.astimezone() if it is local"
                )
                raise TypeError(msg)
            return value.timestamp()
        case date():
            return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
        case str():
            if age := _AGE.fullmatch(value.strip()):
                return now_s - float(age[1]) * _UNITS_S[age[2]]
            return parse_time(value.strip())
    msg = f"{value!r} is not a time; give a datetime with a time zone, a date, or a text such as 2h"
    raise TypeError(msg)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A time range in seconds since 1970, end exclusive. An infinite bound is no bound."""

    start_s: float = -inf
    end_s: float = inf

    def overlaps(self, other: TimeRange) -> bool:
        """Return whether some time is in both ranges."""
        return max(self.start_s, other.start_s) < min(self.end_s, other.end_s)

    def contains(self, other: TimeRange) -> bool:
        """Return whether every time of `other` is in this range."""
        return self.start_s <= other.start_s and other.end_s <= self.end_s


ALL_TIME = TimeRange()


_DATE = re.compile(r"dt=(\d{4})-(\d\d)-(\d\d)")
_HOUR = re.compile(r"hour=([01]\d|2[0-3])")


def folders_time_range(folders: Iterable[str]) -> TimeRange:
    """Return the time range that a partition's folders, or its first ones, name."""
    time_range = ALL_TIME
    for folder in folders:
        if date := _DATE.fullmatch(folder):
            year, month, day = map(int, date.groups())
            try:
                start_s = datetime(year, month, day, tzinfo=UTC).timestamp()
            except ValueError:
                continue  # no such day: `dt` may be a field of the records
            time_range = TimeRange(start_s, start_s + DAY_S)
        elif (hour := _HOUR.fullmatch(folder)) and time_range.end_s - time_range.start_s == DAY_S:
            start_s = time_range.start_s + int(hour[1]) * HOUR_S
            time_range = TimeRange(start_s, start_s + HOUR_S)
    return time_range


MAX_CLOCK_SKEW_S = 900.0
"""The most that clocks may differ: S3 refuses requests from a clock that differs by more. Source:
Amazon S3 API reference, RequestTimeTooSkewed. It is also assumed to be the longest time that a
record of a program waits in `submit` for room in the budget."""

_MULTIPART_ETAG = re.compile(r'"?[0-9a-f]+-\d+"?')


def quarantine_time_range(folders: Iterable[str]) -> TimeRange:
    """Return the time range of quarantine folders. Their `dt=` is the day of the first record."""
    return TimeRange(folders_time_range(folders).start_s - MAX_CLOCK_SKEW_S)


def object_time_range(parsed_key: ParsedKey, list_entry: ListEntry) -> TimeRange:
    """Return the time range in which all records of an object arrived."""
    folders = parsed_key.partition.split("/")
    partition_range = (
        quarantine_time_range(folders) if parsed_key.is_quarantine else folders_time_range(folders)
    )
    start_s, end_s = partition_range.start_s, list_entry.modified_s + MAX_CLOCK_SKEW_S
    if parsed_key.time_s is not None:
        is_fresh = parsed_key.naming is NamingScheme.FRESH
        start_s = max(start_s, parsed_key.time_s - (MAX_CLOCK_SKEW_S if is_fresh else 0.0))
        if is_fresh and _MULTIPART_ETAG.fullmatch(list_entry.etag):
            # S3 sets the modification time when a multipart upload starts. A program's upload takes
            # records for up to `linger_s` after that
            end_s = max(end_s, parsed_key.time_s + MAX_LINGER_S + MAX_CLOCK_SKEW_S)
    end_s = min(partition_range.end_s, end_s)
    # On a contradiction (a `dt=` from a field of the records, a copied object), the folders win
    return TimeRange(start_s, end_s) if start_s < end_s else partition_range


def object_time_s(parsed_key: ParsedKey) -> float | None:
    """Return the time that an object is sorted by and shown with, or None if its key has none.

    It is the time in its name if that is in its partition's time range, and otherwise the start of
    that range.
    """
    partition_range = folders_time_range(parsed_key.partition.split("/"))
    name_s = parsed_key.time_s
    if name_s is not None and partition_range.start_s <= name_s < partition_range.end_s:
        return name_s
    return None if partition_range.start_s == -inf else partition_range.start_s
